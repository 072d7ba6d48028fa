//! Where events and jobs come from: what is said comes back, and what follows from something says so.

use millpond::{
    Aggregate, CommandError, Decision, Error, Event, Execute, Expected, Origin, Push, Recorded, Result, Store,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::backends::{id, known};

each_backend! {
    what_says_nothing_comes_from_nowhere
    what_an_event_and_a_job_say_comes_back
    what_follows_from_an_event_says_so
    what_is_done_for_a_job_comes_from_what_the_job_comes_from
    the_events_of_a_command_are_caused_by_it
    the_jobs_of_a_decision_are_caused_by_its_last_event
    a_job_that_says_itself_where_it_comes_from_is_believed
    names_of_actors_and_tenants_that_cannot_be_are_refused
}

/// A till. Each sale is to be packed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Till {
    pub(crate) sold: u64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Happened {
    Opened,
    Sold { number: u64 },
}

#[derive(Clone, Debug)]
pub(crate) enum Do {
    Sell,
    /// Open the till and sell, and have that packed twice.
    OpenAndSell,
    /// Only if so many are sold, or else refuse.
    SellIf(u64),
    /// Have something packed, and nothing happens.
    Pack,
    /// Sell, with a job that says this of itself.
    SellWith(Push),
    Nothing,
}

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("only {0} are sold")]
pub(crate) struct TooFew(pub(crate) u64);

impl Aggregate for Till {
    const KIND: &'static str = "till";
    type Command = Do;
    type Event = Happened;
    type Rejection = TooFew;

    fn decide(&self, command: &Do) -> std::result::Result<Decision<Till>, TooFew> {
        let number = self.sold + 1;
        let sold = Happened::Sold { number };
        Ok(match command {
            Do::SellIf(least) if self.sold < *least => return Err(TooFew(self.sold)),
            Do::Sell | Do::SellIf(_) => Decision::from([sold]).push("packing", &number),
            Do::OpenAndSell => {
                Decision::from([Happened::Opened, sold]).push("packing", &number).push("packing", &number)
            }
            Do::Pack => Decision::nothing().push("packing", &number),
            Do::SellWith(push) => Decision::from([sold]).push_with("packing", &number, push.clone()),
            Do::Nothing => Decision::nothing(),
        })
    }

    fn evolve(&mut self, event: &Happened) {
        if let Happened::Sold { number } = event {
            self.sold = *number;
        }
    }
}

/// Correlation, causation, actor, tenant.
type Said = (Option<Uuid>, Option<Uuid>, Option<String>, Option<String>);

const NOTHING: Said = (None, None, None, None);

fn said(event: &Recorded) -> Said {
    let text = |text: Option<&str>| text.map(str::to_owned);
    (event.correlation(), event.causation(), text(event.actor()), text(event.tenant()))
}

/// What the next job says.
async fn said_of_job(store: &Store) -> Result<Said> {
    let job = store.queue::<u64>("packing").pop().await?;
    let text = |text: Option<&str>| text.map(str::to_owned);
    let said = (job.correlation(), job.causation(), text(job.actor()), text(job.tenant()));
    job.done().await?;
    Ok(said)
}

async fn last_event(store: &Store) -> Result<Recorded> {
    store.events().read_all().backward().next().await.expect("an event")
}

/// On behalf of Ada, who is of Acme.
fn ada() -> Origin {
    Origin::new().actor("ada").tenant("acme")
}

fn of_ada(correlation: Uuid, causation: Uuid) -> Said {
    (Some(correlation), Some(causation), Some("ada".into()), Some("acme".into()))
}

async fn what_says_nothing_comes_from_nowhere(store: Store) -> Result<()> {
    store.events().append("s", Expected::Any, [known(1), known(2).origin(Origin::new())]).await?;
    store.queue::<u64>("packing").push(&1).await?;
    store.aggregate::<Till>("a").execute(Do::Pack).await.unwrap();
    store.aggregate::<Till>("a").execute_with(Do::Nothing, Execute::new()).await.unwrap();
    let mut events = store.events().read_all();
    while let Some(event) = events.next().await {
        assert_eq!(said(&event?), NOTHING);
    }
    assert_eq!(said_of_job(&store).await?, NOTHING);
    assert_eq!(said_of_job(&store).await?, NOTHING, "no event led to it");
    Ok(())
}

async fn what_an_event_and_a_job_say_comes_back(store: Store) -> Result<()> {
    let (a, b) = (id(100), id(101));
    let long = "é".repeat(256);
    let origins: [(Origin, Said); 6] = [
        (Origin::new().correlation(a), (Some(a), None, None, None)),
        (Origin::new().causation(b), (None, Some(b), None, None)),
        (Origin::new().actor("ada"), (None, None, Some("ada".into()), None)),
        (Origin::new().tenant(long.clone()), (None, None, None, Some(long))),
        (ada().correlation(a).causation(b), of_ada(a, b)),
        (ada().correlation(Uuid::nil()).causation(Uuid::max()), of_ada(Uuid::nil(), Uuid::max())),
    ];
    let queue = store.queue::<u64>("packing");
    for (n, (origin, right)) in (1..).zip(origins) {
        store.events().append("s", Expected::Any, [known(n).origin(origin.clone())]).await?;
        queue.push_with(&n, Push::new().origin(origin)).await?;
        assert_eq!(said(&last_event(&store).await?), right);
        assert_eq!(said(&store.events().find(id(n)).await?.expect("it is there")), right);
        assert_eq!(said_of_job(&store).await?, right);
    }
    Ok(())
}

async fn what_follows_from_an_event_says_so(store: Store) -> Result<()> {
    let events = store.events();
    events.append("s", Expected::Any, [known(1).origin(ada())]).await?;
    // The first of a chain is what all the others belong to.
    for n in 2..6 {
        let before = last_event(&store).await?;
        events.append("s", Expected::Any, [known(n).origin(&before)]).await?;
        assert_eq!(said(&last_event(&store).await?), of_ada(id(1), id(n - 1)));
    }
    // One that says what it belongs to hands that on; and what follows may speak for somebody else.
    events.append("s", Expected::Any, [known(6).origin(Origin::new().correlation(id(77)))]).await?;
    let sixth = last_event(&store).await?;
    store
        .queue::<u64>("packing")
        .push_with(&1, Push::new().origin(Origin::from(&sixth).actor("bob")))
        .await?;
    assert_eq!(said_of_job(&store).await?, (Some(id(77)), Some(id(6)), Some("bob".into()), None));
    Ok(())
}

async fn what_is_done_for_a_job_comes_from_what_the_job_comes_from(store: Store) -> Result<()> {
    let (till, packing) = (store.aggregate::<Till>("a"), store.queue::<u64>("packing"));
    till.execute_with(Do::Sell, Execute::new().origin(ada())).await.unwrap();
    let sold = last_event(&store).await?;
    let job = packing.pop().await?;
    assert_eq!((job.causation(), job.correlation()), (Some(sold.id()), Some(sold.id())));
    // By hand, by a command, and by a command that carries the job's id.
    let packed = Event::new("Packed", &1)?.origin(&job);
    store.events().append("s", Expected::Any, [packed]).await?;
    assert_eq!(said(&last_event(&store).await?), of_ada(sold.id(), sold.id()));
    till.execute_with(Do::Sell, Execute::new().origin(&job)).await.unwrap();
    assert_eq!(said(&last_event(&store).await?), of_ada(sold.id(), sold.id()));
    let command = id(5);
    till.execute_with(Do::Sell, Execute::new().id(command).origin(&job)).await.unwrap();
    assert_eq!(said(&last_event(&store).await?), of_ada(sold.id(), command));
    job.done().await
}

async fn the_events_of_a_command_are_caused_by_it(store: Store) -> Result<()> {
    let till = store.aggregate::<Till>("a");
    let (command, whole) = (id(1), id(2));
    till.execute_with(Do::OpenAndSell, Execute::new().id(command)).await.unwrap();
    let mut history = till.history();
    let (opened, sold) = (history.next().await.unwrap()?, history.next().await.unwrap()?);
    for event in [&opened, &sold] {
        assert_eq!(said(event), (Some(command), Some(command), None, None));
    }
    assert_ne!(opened.id(), sold.id());
    let how = Execute::new().id(id(3)).origin(ada().correlation(whole).causation(id(9)));
    till.execute_with(Do::Sell, how).await.unwrap();
    assert_eq!(said(&last_event(&store).await?), of_ada(whole, id(3)), "by the command, not by its cause");
    // Without an id nothing can point to the command, and its cause is theirs.
    let how = Execute::new().origin(ada().correlation(whole).causation(id(9)));
    till.execute_with(Do::Sell, how).await.unwrap();
    assert_eq!(said(&last_event(&store).await?), of_ada(whole, id(9)));
    // Who comes with them in one append has an origin of his own.
    let tasks = (0..20).map(|n| {
        let (till, how) = (till.clone(), Execute::new().origin(Origin::new().tenant(format!("t{n}"))));
        tokio::spawn(async move { till.execute_with(Do::Sell, how).await.unwrap().position })
    });
    for (n, task) in tasks.collect::<Vec<_>>().into_iter().enumerate() {
        let event = store.events().read_all().from(task.await.unwrap().unwrap()).next().await.unwrap()?;
        assert_eq!(event.tenant(), Some(&*format!("t{n}")));
    }
    Ok(())
}

async fn the_jobs_of_a_decision_are_caused_by_its_last_event(store: Store) -> Result<()> {
    let till = store.aggregate::<Till>("a");
    till.execute_with(Do::OpenAndSell, Execute::new().id(id(1)).origin(ada())).await.unwrap();
    let sold = last_event(&store).await?;
    assert_eq!(sold.event_type(), "Sold");
    for _ in 0..2 {
        assert_eq!(said_of_job(&store).await?, of_ada(id(1), sold.id()));
    }
    // A chain without any id begins with the event.
    till.execute(Do::Sell).await.unwrap();
    let sold = last_event(&store).await?;
    assert_eq!(said_of_job(&store).await?, (Some(sold.id()), Some(sold.id()), None, None));
    // Where nothing has happened, it is what the command comes from.
    till.execute_with(Do::Pack, Execute::new().origin(&sold)).await.unwrap();
    assert_eq!(said_of_job(&store).await?, (Some(sold.id()), Some(sold.id()), None, None));
    till.execute_with(Do::Pack, Execute::new().origin(ada())).await.unwrap();
    assert_eq!(said_of_job(&store).await?, (None, None, Some("ada".into()), Some("acme".into())));
    Ok(())
}

async fn a_job_that_says_itself_where_it_comes_from_is_believed(store: Store) -> Result<()> {
    let till = store.aggregate::<Till>("a");
    let own = Push::new().origin(Origin::new().actor("night shift"));
    let how = || Execute::new().origin(ada());
    till.execute_with(Do::SellWith(own), how()).await.unwrap();
    assert_eq!(said_of_job(&store).await?, (None, None, Some("night shift".into()), None));
    till.execute_with(Do::SellWith(Push::new().priority(-1)), how()).await.unwrap();
    let sold = last_event(&store).await?;
    assert_eq!(said_of_job(&store).await?, of_ada(sold.id(), sold.id()));
    Ok(())
}

async fn names_of_actors_and_tenants_that_cannot_be_are_refused(store: Store) -> Result<()> {
    let (till, queue) = (store.aggregate::<Till>("a"), store.queue::<u64>("packing"));
    let long = "a".repeat(513);
    for bad in ["", " ", "a\nb", "a\u{200B}b", &long] {
        for (what, origin) in [("actor", Origin::new().actor(bad)), ("tenant", Origin::new().tenant(bad))] {
            let refused =
                |error: &Error| matches!(error, Error::InvalidName { what: named, .. } if *named == what);
            let event = known(1).origin(origin.clone());
            let appended = store.events().append("s", Expected::Any, [event.clone()]).await;
            assert!(appended.as_ref().is_err_and(refused), "{appended:?}");
            let imported = store.events().import(vec![("s".to_owned(), event)]).await;
            assert!(imported.as_ref().is_err_and(refused), "{imported:?}");
            let push = Push::new().origin(origin.clone());
            let pushed = queue.push_with(&1, push.clone()).await;
            assert!(pushed.as_ref().is_err_and(refused), "{pushed:?}");
            let commands = [(Do::SellWith(push), Execute::new()), (Do::Sell, Execute::new().origin(origin))];
            for (command, how) in commands {
                let told = till.execute_with(command, how).await.unwrap_err();
                assert!(matches!(&told, CommandError::Failed(error) if refused(error)), "{told:?}");
            }
        }
    }
    assert_eq!((store.events().head().await?, queue.numbers().await?), (0, None), "nothing was written");
    Ok(())
}
