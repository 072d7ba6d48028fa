//! Given, when, then: what the test kit lets through and what it does not.

use std::panic::{AssertUnwindSafe, catch_unwind};

use millpond::testing::Scenario;
use millpond::{Aggregate, Decision, Result, Upcasts};
use serde::{Deserialize, Serialize};

#[derive(Debug, Default, PartialEq)]
struct Door {
    open: bool,
    names: Vec<String>,
}

#[derive(Serialize, Deserialize)]
enum Happened {
    Opened {
        names: Vec<String>,
    },
    Shut,
    /// Cannot be read back.
    Odd(#[serde(serialize_with = "as_text")] u64),
}

fn as_text<S: serde::Serializer>(_: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str("one")
}

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("it is {0}")]
struct Is(&'static str);

impl Aggregate for Door {
    const KIND: &'static str = "door";
    type Command = &'static str;
    type Event = Happened;
    type Rejection = Is;

    fn decide(&self, command: &&'static str) -> Result<Decision<Door>, Is> {
        match *command {
            "shut" if !self.open => Err(Is("shut")),
            "shut" => Ok(Decision::from([Happened::Shut]).push("mail", &"shut").log("doors", &1)),
            "nothing" => Ok(Decision::nothing()),
            "bad" => Ok(Decision::nothing().push("", &1)),
            name => {
                Ok(Decision::from([Happened::Opened { names: vec![name.into()] }]).publish("doors", &name))
            }
        }
    }

    fn evolve(&mut self, event: &Happened) {
        self.open = !matches!(event, Happened::Shut);
        if let Happened::Opened { names } = event {
            self.names.extend(names.iter().cloned());
        }
    }

    fn upcasts() -> Upcasts {
        Upcasts::new().step("Opened", 1, |mut content| {
            let name = content["name"].take();
            content["names"] = vec![name].into();
            Ok(content)
        })
    }
}

fn opened(name: &str) -> Happened {
    Happened::Opened { names: vec![name.to_owned()] }
}

fn open() -> Scenario<Door> {
    Scenario::given([opened("ada")])
}

#[test]
fn what_is_so_passes() {
    open()
        .when(&"shut")
        .then([Happened::Shut])
        .then_pushed("mail", &"shut")
        .then_logged("doors", &1)
        .then_state(|door| assert!(!door.open))
        .then_state(|door| assert_eq!(door.names, ["ada"]));
    open().and([Happened::Shut]).when(&"shut").then_rejected(|why| assert_eq!(why, &Is("shut")));
    Scenario::<Door>::new().when(&"bob").then([opened("bob")]).then_published("doors", &"bob");
    open().when(&"nothing").then_nothing().then_no_effects();
    let old = Scenario::<Door>::new().and_recorded("Opened", 1, "{\"name\":\"eve\"}");
    old.when(&"nothing").then_state(|door| assert_eq!(door.names, ["eve"]));
}

#[test]
fn what_is_not_so_fails_and_says_what_is() {
    let fails = |test: &dyn Fn(), says: &str| {
        let error = catch_unwind(AssertUnwindSafe(test)).expect_err("it passed");
        let text = error.downcast_ref::<String>().map_or("", |text| text);
        assert!(text.contains(says), "{text} does not say {says}");
    };
    fails(&|| drop(open().when(&"shut").then([opened("ada")])), "(\"Shut\", \"null\")");
    fails(&|| drop(open().when(&"shut").then_nothing()), "Shut");
    fails(&|| drop(Scenario::<Door>::new().when(&"shut").then_nothing()), "it was rejected: it is shut");
    fails(&|| open().when(&"shut").then_rejected(|_| {}), "it was accepted");
    fails(&|| drop(open().when(&"shut").then_pushed("mail", &"open")), "queue \"mail\": \"shut\"");
    fails(&|| drop(open().when(&"shut").then_pushed("post", &"shut")), "queue \"mail\": \"shut\"");
    fails(&|| drop(open().when(&"shut").then_published("doors", &1)), "log \"doors\": 1");
    fails(&|| drop(open().when(&"shut").then_no_effects()), "it has effects");
    fails(&|| drop(open().when(&"bad").then_no_effects()), "its effects cannot be");
    fails(&|| drop(Scenario::<Door>::given([Happened::Odd(1)])), "Odd");
    fails(&|| drop(Scenario::<Door>::new().and_recorded("Opened", 3, "{}")), "its schema is 3");
    fails(&|| drop(Scenario::<Door>::new().and_recorded("Broken", 1, "{}")), "Broken");
}
