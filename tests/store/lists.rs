//! Lists: an order of their own, what is meant by an index and a version, and who waits at their ends.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::future::join_all;
use millpond::{Error, Event, Expected, List, ListEnd, Primitive, Result, Store, blocking};

use crate::backends::{Begun, begin, until};
use crate::peer::{Peer, file};

/// Long enough that only a wake-up ends the wait.
const LONG: Duration = Duration::from_secs(3_600);

each_backend! {
    items_are_put_read_moved_and_removed_by_their_index
    d2_thousands_are_pushed_and_put_at_one_place
    a4_an_item_that_was_read_is_replaced_and_removed_only_if_it_is_still_that
    li3_those_who_wait_are_served_in_the_order_in_which_they_came
    li3_whatever_puts_an_item_wakes_who_waits
    li4_of_pops_that_are_cancelled_at_any_moment_none_loses_an_item
    li4_what_nobody_takes_goes_back_to_its_end
    li4_an_item_that_is_something_else_stays
    a_pop_that_waits_gives_up_when_its_time_is_over
    drawer_c8_closing_ends_those_who_wait
    what_is_trimmed_is_gone_whatever_it_is_as_much_as
    g2_a_batch_writes_lists_with_all_else_or_not_at_all
    an_item_is_worked_off_exactly_once
    whoever_watches_is_told
    bad_input_is_refused_and_loses_nothing
    both_faces_are_the_same_list
}

async fn all(list: &List<u64>) -> Result<Vec<u64>> {
    let (mut items, mut found) = (list.items(..), Vec::new());
    while let Some(item) = items.next().await {
        let item = item?;
        assert_eq!(item.index(), found.len() as u64);
        found.push(item.into_value());
    }
    Ok(found)
}

async fn items_are_put_read_moved_and_removed_by_their_index(store: Store) -> Result<()> {
    let list = store.list::<u64>("l");
    assert_eq!((list.count().await?, list.get(0).await?, list.get(-1).await?), (0, None, None));
    assert_eq!((list.push_back(&1).await?, list.push_back(&2).await?, list.push_front(&3).await?), (1, 2, 3));
    assert_eq!((list.insert(1, &4).await?, list.insert(-1, &5).await?, list.insert(5, &6).await?), (1, 3, 5));
    assert_eq!(all(&list).await?, [3, 4, 1, 5, 2, 6]);
    let item = list.get(-2).await?.expect("it is there");
    assert_eq!((*item, item.index(), item.version()), (2, 4, 2));
    assert_eq!((list.get(6).await?, list.get(-7).await?), (None, None));
    assert_eq!(list.set(0, &7).await?, 7);
    list.move_item(0, 5).await?;
    assert_eq!(all(&list).await?, [4, 1, 5, 2, 6, 7]);
    list.move_item(-2, 0).await?;
    assert_eq!(all(&list).await?, [6, 4, 1, 5, 2, 7]);
    assert_eq!(*list.remove(1).await?, 4);
    let mut two = list.items(1..3);
    assert_eq!((two.next().await.unwrap()?.into_value(), two.next().await.unwrap()?.index()), (1, 2));
    assert!(two.next().await.is_none());
    assert_eq!(list.push_all(ListEnd::Front, [8, 9]).await?, 7);
    assert_eq!((list.get(0).await?.as_deref(), list.get(1).await?.as_deref()), (Some(&8), Some(&9)));
    let lists = store.inspect().lists(None, 9).await?;
    assert_eq!(lists.iter().map(|it| (it.name.as_str(), it.count)).collect::<Vec<_>>(), [("l", 7)]);
    assert_eq!(store.inspect().summary().await?.lists, 1);
    Ok(())
}

/// The reference store died at about 6,000 pushes, and of keys that grew.
async fn d2_thousands_are_pushed_and_put_at_one_place(store: Store) -> Result<()> {
    let list = store.list::<u64>("l");
    for first in (0..20_000).step_by(5_000) {
        list.push_all(ListEnd::Back, first..first + 5_000).await?;
    }
    for first in (0..2_000).step_by(100) {
        let numbers: Vec<u64> = (first..first + 100).collect();
        let all = join_all(numbers.iter().map(|number| list.insert(7, number))).await;
        all.into_iter().try_for_each(|done| done.map(drop))?;
    }
    assert_eq!(list.count().await?, 22_000);
    let found = all(&list).await?;
    assert_eq!((&found[..7], &found[2_007..2_010]), (&[0, 1, 2, 3, 4, 5, 6][..], &[7, 8, 9][..]));
    assert_eq!(found[7..2_007].iter().copied().collect::<BTreeSet<_>>(), (0..2_000).collect());
    assert_eq!(list.get(-1).await?.as_deref(), Some(&19_999));
    Ok(())
}

async fn a4_an_item_that_was_read_is_replaced_and_removed_only_if_it_is_still_that(
    store: Store,
) -> Result<()> {
    let list = store.list::<u64>("l");
    list.push_all(ListEnd::Back, [1, 2, 3]).await?;
    let second = list.get(1).await?.expect("it is there");
    list.push_front(&0).await?;
    let other = list.set_if(1, &9, second.version()).await;
    let conflict = Error::ItemConflict { list: "l".into(), index: 1, expected: 2, actual: 1 };
    assert_eq!(other, Err(conflict));
    assert!(matches!(list.remove_if(1, second.version()).await, Err(Error::ItemConflict { .. })));
    let version = list.set_if(2, &9, second.version()).await?;
    assert!(matches!(list.remove_if(2, second.version()).await, Err(Error::ItemConflict { .. })));
    assert_eq!(*list.remove_if(2, version).await?, 9);
    assert_eq!(all(&list).await?, [0, 1, 3]);
    // A move leaves it what it is.
    let last = list.get(-1).await?.expect("it is there");
    list.move_item(-1, 0).await?;
    assert_eq!(*list.remove_if(0, last.version()).await?, 3);
    Ok(())
}

async fn li3_those_who_wait_are_served_in_the_order_in_which_they_came(store: Store) -> Result<()> {
    let list = store.list::<u64>("l");
    let waiting: Vec<_> = (0..20).map(|_| begin(list.pop_front())).collect();
    assert!(waiting.iter().all(|it| it.is_pending()));
    for number in 0..10 {
        list.push_back(&number).await?;
    }
    list.push_all(ListEnd::Back, 10..20).await?;
    for (number, popped) in (0..20).zip(join_all(waiting).await) {
        assert_eq!(popped?, number);
    }
    // Each at the end that he wants.
    let (front, back) = (begin(list.pop_front()), begin(list.pop_back()));
    list.push_all(ListEnd::Back, [1, 2, 3]).await?;
    assert_eq!((front.await?, back.await?), (1, 3));
    assert_eq!(all(&list).await?, [2]);
    Ok(())
}

async fn li3_whatever_puts_an_item_wakes_who_waits(store: Store) -> Result<()> {
    let (list, other) = (store.list::<u64>("l"), store.list::<u64>("other"));
    other.push_all(ListEnd::Back, [5, 6]).await?;
    let waits = || begin(list.pop_front());
    let one = waits();
    list.push_front(&1).await?;
    assert_eq!(one.await?, 1);
    let one = waits();
    list.insert(0, &2).await?;
    assert_eq!(one.await?, 2);
    let one = waits();
    let mut batch = store.batch();
    batch.push_back(&list, &3)?;
    batch.commit().await?;
    assert_eq!(one.await?, 3);
    let one = waits();
    other.move_to(0, &list, ListEnd::Back).await?;
    assert_eq!(one.await?, 5);
    let one = waits();
    let mut batch = store.batch();
    batch.move_item(&other, 0, &list, ListEnd::Front)?;
    batch.commit().await?;
    assert_eq!(one.await?, 6);
    Ok(())
}

/// Each is let go a step further than the one before: some are cancelled before it is taken, some within it, some behind its commit.
async fn li4_of_pops_that_are_cancelled_at_any_moment_none_loses_an_item(store: Store) -> Result<()> {
    const ITEMS: u64 = 300;
    let (list, mut taken) = (store.list::<u64>("l"), BTreeSet::new());
    for number in 0..ITEMS {
        list.push_back(&number).await?;
        let mut pop = std::pin::pin!(list.pop_front());
        for _ in 0..number {
            if let Poll::Ready(item) = pop.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                assert!(taken.insert(item?), "twice");
                break;
            }
            std::thread::yield_now();
        }
    }
    until(async || Ok(list.count().await? == ITEMS - taken.len() as u64)).await?;
    taken.extend(all(&list).await?);
    assert_eq!(taken.len() as u64, ITEMS);
    Ok(())
}

/// Drops a pop that has not been answered yet. What one has that was answered in its first step goes back by hand.
async fn give_up(
    pop: Begun<impl Future<Output = Result<Option<u64>>>>,
    list: &List<u64>,
    end: ListEnd,
) -> Result<()> {
    if !pop.is_pending() {
        list.push_all(end, pop.await?).await?;
    }
    Ok(())
}

async fn li4_what_nobody_takes_goes_back_to_its_end(store: Store) -> Result<()> {
    let list = store.list::<u64>("l");
    list.push_all(ListEnd::Back, 0..5).await?;
    for _ in 0..10 {
        let (front, back) = (begin(list.pop_front_within(LONG)), begin(list.pop_back_within(LONG)));
        until(async || Ok(list.count().await? == 3)).await?;
        give_up(front, &list, ListEnd::Front).await?;
        give_up(back, &list, ListEnd::Back).await?;
        until(async || Ok(list.count().await? == 5)).await?;
        assert_eq!(all(&list).await?, [0, 1, 2, 3, 4]);
    }
    // A wait that was given up eats no later item.
    list.clear().await?;
    drop(begin(list.pop_front()));
    list.push_back(&7).await?;
    assert_eq!(list.pop_front_within(LONG).await?, Some(7));
    Ok(())
}

async fn li4_an_item_that_is_something_else_stays(store: Store) -> Result<()> {
    store.list::<String>("l").push_back(&"seven".to_owned()).await?;
    let list = store.list::<u64>("l");
    assert!(matches!(list.pop_front().await, Err(Error::Decode { .. })));
    until(async || Ok(list.count().await? == 1)).await?;
    assert!(matches!(list.get(0).await, Err(Error::Decode { .. })));
    assert_eq!(store.list::<String>("l").pop_back().await?, "seven");
    Ok(())
}

async fn a_pop_that_waits_gives_up_when_its_time_is_over(store: Store) -> Result<()> {
    let list = store.list::<u64>("l");
    assert_eq!(list.try_pop_back().await?, None);
    assert_eq!(list.pop_back_within(Duration::from_millis(1)).await?, None);
    let blocking = store.blocking().list::<u64>("l");
    let waits = move || blocking.pop_front_within(Duration::from_millis(2));
    assert_eq!(tokio::task::spawn_blocking(waits).await.unwrap()?, None);
    list.push_back(&1).await?;
    assert_eq!(all(&list).await?, [1], "nobody waits any more");
    Ok(())
}

async fn drawer_c8_closing_ends_those_who_wait(store: Store) -> Result<()> {
    let list = store.list::<u64>("l");
    let waiting = begin(list.pop_front());
    let blocking = store.blocking().list::<u64>("l");
    let thread = tokio::task::spawn_blocking(move || blocking.pop_back());
    assert!(waiting.is_pending());
    store.close().await?;
    assert!(matches!(waiting.await, Err(Error::Closed)));
    assert_eq!(thread.await.unwrap(), Err(Error::Closed));
    assert!(matches!(list.push_back(&1).await, Err(Error::Closed)));
    Ok(())
}

async fn what_is_trimmed_is_gone_whatever_it_is_as_much_as(store: Store) -> Result<()> {
    let list = store.list::<u64>("l");
    list.push_all(ListEnd::Back, 0..4_500).await?;
    assert_eq!(list.trim(..-100).await?, 100);
    assert_eq!(list.trim(1_200..=2_199).await?, 3_400);
    assert_eq!(all(&list).await?, (1_200..2_200).collect::<Vec<_>>());
    assert_eq!(list.trim(-10..).await?, 990);
    assert_eq!(list.trim(..).await?, 0);
    assert_eq!(list.clear().await?, 10);
    assert_eq!((list.clear().await?, store.list::<u64>("never").clear().await?), (0, 0));
    Ok(())
}

async fn g2_a_batch_writes_lists_with_all_else_or_not_at_all(store: Store) -> Result<()> {
    let (list, dict) = (store.list::<u64>("l"), store.dict::<u64>("d"));
    let mut batch = store.batch();
    let (back, front) = (batch.push_back(&list, &1)?, batch.push_front(&list, &2)?);
    let (at, version) = (batch.insert_item(&list, -1, &3)?, batch.set_item(&list, 0, &4, None)?);
    let gone = batch.remove_item(&list, -1, Some(1))?;
    batch.increment(&dict, "n", 1)?;
    let written = batch.commit().await?;
    assert_eq!((written[back], written[front], written[at], written[version]), (1, 2, 1, 4));
    assert_eq!(*written[gone], 1);
    assert_eq!(all(&list).await?, [4, 3]);
    let mut batch = store.batch();
    batch.increment(&dict, "n", 1)?;
    batch.push_back(&list, &5)?;
    batch.set_item(&list, 9, &6, None)?;
    assert!(matches!(batch.commit().await, Err(Error::NoItem { index: 9, count: 3, .. })));
    assert_eq!((all(&list).await?, dict.get("n").await?.as_deref()), (vec![4, 3], Some(&1)));
    Ok(())
}

/// Whoever does what an item says in the commit that removes it does it once, however many do.
async fn an_item_is_worked_off_exactly_once(store: Store) -> Result<()> {
    let (list, sums) = (store.list::<u64>("l"), store.dict::<i64>("sums"));
    list.push_all(ListEnd::Back, 1..=60).await?;
    let store = Arc::new(store);
    let workers = (0..6).map(|_| {
        let (store, list, sums) = (Arc::clone(&store), list.clone(), sums.clone());
        tokio::spawn(async move {
            while let Some(item) = list.get(0).await? {
                let mut batch = store.batch();
                batch.remove_item(&list, 0, Some(item.version()))?;
                batch.increment(&sums, "all", i64::try_from(*item).unwrap())?;
                batch.append("worked", Expected::Any, [Event::new("Worked", &*item)?])?;
                match batch.commit().await {
                    Ok(_) | Err(Error::ItemConflict { .. } | Error::NoItem { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        })
    });
    join_all(workers).await.into_iter().try_for_each(|done| done.unwrap())?;
    assert_eq!(sums.get("all").await?.as_deref(), Some(&1_830));
    assert_eq!(store.events().head().await?, 60);
    Ok(())
}

async fn whoever_watches_is_told(store: Store) -> Result<()> {
    let (list, other) = (store.list::<u64>("l"), store.list::<u64>("m"));
    let mut changes = store.watch("*").await?;
    list.push_all(ListEnd::Back, [1, 2, 3]).await?;
    assert_eq!(list.pop_front().await?, 1);
    assert_eq!(other.try_pop_front().await?, None);
    list.move_to(0, &other, ListEnd::Back).await?;
    list.set(0, &9).await?;
    list.clear().await?;
    for (name, version) in [("l", 3), ("l", 4), ("l", 5), ("m", 1), ("l", 6), ("l", 7)] {
        let change = changes.next().await.expect("one")?;
        assert_eq!((change.primitive(), change.name()), (Primitive::List, name));
        assert_eq!((change.sequence(), change.key()), (Some(version), None));
    }
    Ok(())
}

async fn bad_input_is_refused_and_loses_nothing(store: Store) -> Result<()> {
    let list = store.list::<String>("l");
    list.push_back(&"kept".to_owned()).await?;
    for name in ["", "a\nb", "a\0b", &"x".repeat(513)] {
        let bad = store.list::<String>(name);
        assert!(matches!(bad.push_back(&"x".to_owned()).await, Err(Error::InvalidName { .. })));
        assert!(matches!(bad.pop_front().await, Err(Error::InvalidName { .. })));
        assert!(matches!(bad.items(..).next().await, Some(Err(Error::InvalidName { .. }))));
        assert!(matches!(bad.clear().await, Err(Error::InvalidName { .. })));
    }
    let large = "x".repeat(4 << 20);
    assert!(matches!(list.push_back(&large).await, Err(Error::TooLarge { .. })));
    assert!(matches!(list.set(0, &large).await, Err(Error::TooLarge { .. })));
    let many = list.push_all(ListEnd::Back, std::iter::repeat_n(String::new(), 10_001)).await;
    assert!(matches!(many, Err(Error::TooLarge { .. })));
    assert_eq!(list.push_all(ListEnd::Back, Vec::<String>::new()).await?, 1);
    for index in [1, -2, i64::MAX, i64::MIN] {
        let missing = Error::NoItem { list: "l".into(), index, count: 1 };
        assert_eq!(list.set(index, &"x".to_owned()).await, Err(missing.clone()));
        assert_eq!(list.remove(index).await, Err(missing.clone()));
        assert_eq!(list.move_item(index, 0).await, Err(missing));
        assert_eq!(list.get(index).await?, None);
    }
    for index in [2, -2, i64::MAX, i64::MIN] {
        assert!(matches!(list.insert(index, &"x".to_owned()).await, Err(Error::NoItem { .. })));
    }
    assert!(matches!(list.move_item(0, 1).await, Err(Error::NoItem { index: 1, count: 0, .. })));
    let foreign = Store::memory().await?;
    assert!(matches!(
        list.move_to(0, &foreign.list("l"), ListEnd::Back).await,
        Err(Error::InvalidArgument { .. })
    ));
    assert!(matches!(foreign.batch().push_back(&list, &"x".to_owned()), Err(Error::InvalidArgument { .. })));
    foreign.close().await?;
    let odd = store.list::<String>("a'; DROP TABLE list; --\"");
    odd.push_back(&"'\"".to_owned()).await?;
    assert_eq!(odd.pop_front().await?, "'\"");
    assert_eq!(list.get(0).await?.as_deref().map(String::as_str), Some("kept"));
    assert_eq!(list.count().await?, 1);
    Ok(())
}

async fn both_faces_are_the_same_list(store: Store) -> Result<()> {
    let case = |store: blocking::Store| -> Result<()> {
        let (list, other) = (store.list::<u64>("l"), store.list::<u64>("m"));
        assert_eq!((list.push_back(&1)?, list.push_front(&2)?, list.insert(1, &3)?), (1, 2, 1));
        assert_eq!(list.push_all(ListEnd::Back, [4, 5])?, 5);
        assert_eq!((list.count()?, list.get(-1)?.map(|it| (it.index(), *it))), (5, Some((4, 5))));
        let version = list.set(0, &6)?;
        assert_eq!(list.set_if(0, &7, version)?, version + 1);
        list.move_item(0, -1)?;
        list.move_to(0, &other, ListEnd::Front)?;
        let all = |list: &blocking::List<u64>| {
            list.items(..).map(|it| it.map(|it| *it)).collect::<Result<Vec<_>>>()
        };
        assert_eq!((all(&list)?, all(&other)?), (vec![1, 4, 7, 5], vec![3]));
        assert_eq!(list.items(1..).limit(1).count(), 1);
        assert_eq!((list.pop_front()?, list.pop_back()?), (1, 5));
        assert_eq!((list.try_pop_front()?, list.pop_back_within(LONG)?), (Some(4), Some(7)));
        assert_eq!((list.try_pop_back()?, list.pop_front_within(Duration::from_millis(1))?), (None, None));
        let mut batch = store.batch();
        batch.push_back(&list, &1)?;
        batch.push_front(&list, &2)?;
        batch.insert_item(&list, 1, &3)?;
        batch.set_item(&list, 1, &4, None)?;
        let gone = batch.remove_item(&list, 0, None)?;
        batch.move_item(&list, 0, &other, ListEnd::Back)?;
        assert_eq!(*batch.commit()?[gone], 2);
        assert_eq!((all(&list)?, all(&other)?), (vec![1], vec![3, 4]));
        assert_eq!((*list.remove(0)?, other.trim(1..)?, other.clear()?), (1, 1, 1));
        list.push_back(&9)?;
        let item = list.get(0)?.expect("it is there");
        assert_eq!(*list.remove_if(0, item.version())?, 9);
        assert_eq!(store.inspect().lists(Some("l"), 9)?.len(), 1);
        Ok(())
    };
    let blocking = store.blocking();
    tokio::task::spawn_blocking(move || case(blocking)).await.unwrap()
}

#[test]
fn d8_a_push_wakes_one_who_waits_in_another_process() {
    let (_folder, file) = file();
    let (mut a, mut b) = (Peer::start(&file), Peer::start(&file));
    for number in 1..=5 {
        b.tell("pop-front l");
        assert_eq!(a.ask(&format!("push-back l {number}")), "1");
        assert_eq!(b.hear(), number.to_string());
    }
    b.killed();
    assert_eq!(a.ask("push-back l 7"), "1");
    assert_eq!(a.ask("pop-front l"), "7");
}
