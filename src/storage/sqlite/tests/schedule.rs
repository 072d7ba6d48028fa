//! Schedules on SQLite: damage.

use millpond_actors::error::Error;
use millpond_actors::storage::Backend;
use millpond_actors::storage::queue::{Key, NewJob, Scope};
use millpond_actors::storage::schedule::{Fire, Fired, Missed, Placed, Plan, Set};

use super::queue::push;
use super::{Fixture, group, name, target};

fn set(schedule: &str) -> Set {
    let key = Some(Key { text: "k".into(), scope: Scope::Live });
    let job = NewJob { key, max_attempts: Some(3), ..push("q", &[("", 0)]).jobs.remove(0) };
    let plan = Plan { cron: "* * * * *".into(), zone: "UTC".into(), missed: Missed::Once, job };
    Set { queue: target("q"), name: name(schedule), plan: Box::new(plan), due: Some(0) }
}

#[test]
fn g14_a_damaged_schedule_pushes_nothing_and_can_be_replaced() {
    for (column, value) in [
        ("data", "'{\"key\":\"x\"}'"),
        ("data", "x'00'"),
        ("key", "'x'"),
        ("scope", "1"),
        ("scope", "2"),
        ("schema", "2"),
        ("format", "2"),
        ("crc", "crc + 1"),
        ("cron", "'0 * * * *'"),
        ("zone", "'Europe/Amsterdam'"),
        ("missed", "1"),
        ("missed", "2"),
        ("priority", "1"),
        ("max_attempts", "NULL"),
        ("name", "'u'"),
        ("queue", "2"),
    ] {
        let fixture = Fixture::new();
        let mut session = fixture.join(0);
        group(&mut *session, 0, 1, |session| session.schedule_set(&set("s")));
        group(&mut *session, 0, 2, |session| session.schedule_set(&set("t")));
        group(&mut *session, 0, 3, |session| session.queue_push(&push("r", &[("c", 0)])));
        let damage = format!("UPDATE schedule SET {column} = {value} WHERE name = 's'");
        fixture.plain().execute(&damage, []).unwrap();
        let mut view = fixture.backend.view().unwrap();
        let mut all = |queue| view.schedules(&name(queue)).unwrap();
        let found: Vec<_> = all("q").into_iter().chain(all("r")).collect();
        let damaged =
            found.iter().filter(|found| matches!(found, Err(Error::Corrupt { kind: "schedule", .. })));
        assert_eq!((found.len(), damaged.count()), (2, 1), "{damage}: {found:?}");
        // The sound one goes on, and is done for beside it.
        let sound = found.into_iter().flatten().next().unwrap();
        assert_eq!(sound.name, "t");
        let fire =
            |schedule, revision| Fire { queue: target("q"), name: name(schedule), revision, next: None };
        let (_, fired) =
            group(&mut *session, 0, 4, |session| session.schedule_fire(&fire("t", sound.revision)));
        assert!(matches!(fired, Fired::Pushed { .. }));
        let placed = group(&mut *session, 0, 5, |session| session.schedule_set(&set("s"))).1;
        assert!(matches!(placed, Placed::Changed | Placed::New), "{damage}");
        let mended = view.schedules(&name("q")).unwrap().iter().all(Result::is_ok);
        assert!(mended || column == "name", "{damage}");
    }
}
