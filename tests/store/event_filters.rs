//! Which events are read: by type, by tenant, by time. What a filter gives is what looking at all events would.

use std::sync::Arc;
use std::time::Duration;

use millpond::{Clock, Error, Event, EventStream, Expected, Location, ManualClock, Origin, Recorded, Store};

use crate::backends::{on_a_clock, wait};

/// Most types that one read picks out.
const TYPES: usize = 100;

async fn numbers(mut stream: EventStream) -> Vec<u64> {
    let mut found = Vec::new();
    while let Some(event) = stream.next().await {
        found.push(event.unwrap().position());
    }
    found
}

/// A few numbers that nobody would think of.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

const TYPE: [&str; 4] = ["Opened", "Sold", "Closed", "opened"];
const TENANT: [&str; 3] = ["acme", "Acme", "zeta"];

/// Events of any stream, type and tenant, at times that stand still, go on, and are set back.
async fn many(store: &Store, clock: &ManualClock, random: &mut Random) -> Vec<Recorded> {
    for _ in 0..150 {
        match random.below(6) {
            0 => clock.set_wall(clock.now().wall_ms - 3),
            1 | 2 => clock.advance(Duration::from_millis(random.below(4))),
            _ => {}
        }
        let stream = ["a-1", "a-2", "b-1"][random.below(3) as usize];
        let events = (0..=random.below(3)).map(|n| {
            let event = Event::new(TYPE[random.below(4) as usize], &n).unwrap();
            match random.below(4) {
                3 => event,
                tenant => event.origin(Origin::new().tenant(TENANT[tenant as usize])),
            }
        });
        store.events().append(stream, Expected::Any, events.collect::<Vec<_>>()).await.unwrap();
    }
    let (mut all, mut events) = (Vec::new(), store.events().read_all());
    while let Some(event) = events.next().await {
        all.push(event.unwrap());
    }
    all
}

#[test]
fn what_a_filter_finds_is_what_looking_at_everything_finds() {
    on_a_clock(async |store: Store, clock: Arc<ManualClock>| {
        let mut random = Random(11);
        let all = many(&store, &clock, &mut random).await;
        let (first, last) = (all[0].recorded_at_ms(), all[all.len() - 1].recorded_at_ms());
        let events = store.events();
        for _ in 0..300 {
            let (mut stream, of): (EventStream, fn(&Recorded) -> bool) = match random.below(3) {
                0 => (events.read_all(), |_| true),
                1 => (events.read_category("a"), |event| event.stream().starts_with("a-")),
                _ => (events.read_stream("a-1"), |event| event.stream() == "a-1"),
            };
            let mut right: Vec<&Recorded> = all.iter().filter(|event| of(event)).collect();
            if random.below(2) == 0 {
                let types: Vec<&str> = (0..random.below(3)).map(|_| TYPE[random.below(4) as usize]).collect();
                right.retain(|event| types.is_empty() || types.contains(&event.event_type()));
                stream = stream.event_types(types);
            }
            if random.below(2) == 0 {
                let tenant = ["acme", "Acme", "zeta", "nobody"][random.below(4) as usize];
                right.retain(|event| event.tenant() == Some(tenant));
                stream = stream.tenant(tenant);
            }
            let mut time = || first - 2 + random.below(last.abs_diff(first) + 5).cast_signed();
            let (since, before) = (time(), time());
            if random.below(2) == 0 {
                right.retain(|event| event.recorded_at_ms() >= since);
                stream = stream.recorded_since(since);
            }
            if random.below(2) == 0 {
                right.retain(|event| event.recorded_at_ms() < before);
                stream = stream.recorded_before(before);
            }
            if random.below(2) == 0 {
                right.reverse();
                stream = stream.backward();
            }
            let limit = random.below(60);
            right.truncate(limit as usize);
            let right: Vec<u64> = right.into_iter().map(Recorded::position).collect();
            assert_eq!(numbers(stream.limit(limit)).await, right);
        }
        Ok(())
    });
}

#[test]
fn a_filter_and_a_range_are_both_kept_to() {
    on_a_clock(async |store: Store, clock: Arc<ManualClock>| {
        let all = many(&store, &clock, &mut Random(5)).await;
        let (from, to) = (all.len() as u64 / 4, all.len() as u64 / 2);
        let (since, before) = (all[20].recorded_at_ms(), all[all.len() - 20].recorded_at_ms());
        let wanted = |event: &&Recorded| {
            (from..=to).contains(&event.position())
                && event.event_type() == "Sold"
                && event.tenant() == Some("acme")
                && (since..before).contains(&event.recorded_at_ms())
        };
        let right: Vec<u64> = all.iter().filter(wanted).map(Recorded::position).collect();
        assert!(!right.is_empty());
        let stream = store.events().read_all().from(from).to(to).event_type("Sold").tenant("acme");
        assert_eq!(numbers(stream.recorded_since(since).recorded_before(before)).await, right);
        // Times that no event can have are no error.
        for (since, before, found) in [(i64::MIN, i64::MAX, all.len()), (i64::MAX, i64::MIN, 0)] {
            let stream = store.events().read_all().recorded_since(since).recorded_before(before);
            assert_eq!(numbers(stream).await.len(), found);
        }
        Ok(())
    });
}

#[test]
fn more_types_than_a_read_may_pick_out_are_refused() {
    on_a_clock(async |store: Store, _: Arc<ManualClock>| {
        let appended = [Event::new("Sold", &1)?, Event::new("O'Brien \"x\"; --", &2)?];
        store.events().append("a-1", Expected::Any, appended).await?;
        let types = |count: usize| (1..count).map(|n| format!("T{n}")).chain(["Sold".to_owned()]);
        assert_eq!(numbers(store.events().read_all().event_types(types(TYPES))).await, [1]);
        let mut refused = store.events().read_all().event_types(types(TYPES + 1));
        let error = refused.next().await.unwrap().unwrap_err();
        assert!(matches!(error, Error::TooLarge { size: 101, limit: 100, .. }), "{error}");
        assert!(refused.next().await.is_none());
        // The last word counts, and any text is a type to look for.
        assert_eq!(
            numbers(store.events().read_all().event_type("x").event_type("O'Brien \"x\"; --")).await,
            [2]
        );
        assert_eq!(numbers(store.events().read_all().event_types(Vec::<String>::new())).await, [1, 2]);
        assert!(numbers(store.events().read_all().tenant("")).await.is_empty());
        Ok(())
    });
}

#[test]
fn the_blocking_face_filters_the_same() {
    let folder = tempfile::tempdir().unwrap();
    for location in [Location::Memory, Location::File(folder.path().join("s.db"))] {
        let clock = ManualClock::new();
        let with_clock = || Arc::<ManualClock>::clone(&clock);
        let store = wait(Store::builder().clock(with_clock()).open(location)).unwrap();
        let all = wait(many(&store, &clock, &mut Random(3)));
        let times = (all[30].recorded_at_ms(), all[150].recorded_at_ms());
        let events = store.blocking().events();
        let wanted = |event: &&Recorded| {
            ["Sold", "Closed"].contains(&event.event_type())
                && event.tenant() == Some("zeta")
                && (times.0..times.1).contains(&event.recorded_at_ms())
        };
        let stream = events.read_all().event_types(["Sold", "Closed"]).tenant("zeta");
        let found = stream.recorded_since(times.0).recorded_before(times.1).map(Result::unwrap);
        let right: Vec<Recorded> = all.iter().filter(wanted).cloned().collect();
        assert!(!right.is_empty());
        assert_eq!(found.collect::<Vec<_>>(), right);
        let of_type = events.read_stream("a-1").event_type("opened").map(Result::unwrap);
        assert!(of_type.map(|event| event.event_type().to_owned()).all(|name| name == "opened"));
        let too_many: Vec<String> = (0..=TYPES).map(|n| n.to_string()).collect();
        assert!(matches!(events.read_all().event_types(too_many).next(), Some(Err(Error::TooLarge { .. }))));
        wait(store.close()).unwrap();
    }
}
