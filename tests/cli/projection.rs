//! `projection`: what is wanted is said in one process, and obeyed in another, which is this one.

use std::thread;
use std::time::Duration;

use millpond::blocking::{Projector, Store};
use millpond::{Event, Expected, Failure, Project, Recorded, Rows, Stopper};
use serde_json::{Value, json};

use crate::Bench;
use crate::lock::until;

const ODD: &str = "it's a \"b/c\" 100% 😀";

fn open(bench: &Bench) -> Store {
    Store::open(bench.path("a.db")).unwrap()
}

fn append(store: &Store, events: u64) -> u64 {
    let events: Vec<_> = (0..events).map(|n| Event::new("Counted", &n).unwrap()).collect();
    store.events().append("c-1", Expected::Any, events).unwrap().position
}

/// Nothing is to be written for an event: what is looked at is the checkpoint.
fn nothing(_: &Recorded, _: &mut Rows<'_>) -> Result<(), Failure> {
    Ok(())
}

/// One whose generations can be there beside each other.
struct Beside;

impl Project for Beside {
    fn apply(&mut self, event: &Recorded, rows: &mut Rows<'_>) -> Result<(), Failure> {
        nothing(event, rows)
    }

    fn beside(&self) -> bool {
        true
    }
}

/// Whatever comes of the case, the thread that projects ends.
struct Stop(Stopper);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.stop(Duration::ZERO);
    }
}

/// Something happens while a thread of this process projects.
fn while_it_runs(projector: Projector, project: impl Project + Send, case: impl FnOnce()) {
    let stop = Stop(projector.stopper());
    thread::scope(|scope| {
        let running = scope.spawn(|| projector.run(project));
        case();
        drop(stop);
        running.join().unwrap().unwrap();
    });
}

/// A projection that has dealt with all there is.
fn drained(store: &Store, name: &str) {
    store.projection(name).projector(store.events().read_all()).drain().run(nothing).unwrap();
}

/// The only projection there is.
fn listed(bench: &Bench) -> Value {
    let mut lines = bench.json(&["projection", "list"]);
    assert_eq!(lines.len(), 1);
    lines.remove(0)
}

/// The row of a projection, without the white space between its columns.
fn row(table: &str, begin: &str) -> String {
    let found = table.lines().find(|line| line.starts_with(begin));
    let cells = found.unwrap_or_else(|| panic!("{begin}: {table}")).split_whitespace();
    cells.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_projection_is_paused_and_goes_on_in_another_process() {
    let bench = Bench::new();
    let store = open(&bench);
    append(&store, 5);
    assert_eq!(bench.printed(&["projection", "list"]), "no projection has begun yet\n");
    let sales = store.projection("sales");
    while_it_runs(sales.projector(store.events().read_all()), nothing, || {
        sales.caught_up().unwrap();
        let line = listed(&bench);
        let facts = ["projection", "generation", "position", "head", "lag", "handled"];
        assert_eq!(
            facts.map(|fact| line[fact].clone()),
            [json!("sales"), json!(1), json!(5), json!(5), json!(0), json!(5)]
        );
        let facts = ["paused", "parked", "failure", "attempts", "rebuilding"];
        assert_eq!(
            facts.map(|fact| line[fact].clone()),
            [json!(false), json!(false), json!(null), json!(0), json!(null)]
        );
        assert_eq!(line["runners"][0]["pid"], std::process::id());
        let us = format!("(pid {} on ", std::process::id());
        let table = bench.printed(&["projection", "list"]);
        assert_eq!(row(&table, "projection "), "projection state position lag handled run by failure");
        assert!(row(&table, "sales ").starts_with("sales running 5 0 5 "), "{table}");
        assert!(table.contains(&us), "{table}");

        let said = bench.printed(&["projection", "pause", "sales"]);
        assert!(said.starts_with("projection \"sales\" is paused at position 5\nit is run by "), "{said}");
        assert!(said.contains(&us), "{said}");
        let head = append(&store, 2);
        assert_eq!(bench.printed(&["projection", "lag", "sales"]), "2\n");
        let line = listed(&bench);
        assert_eq!((&line["paused"], &line["position"], &line["lag"]), (&json!(true), &json!(5), &json!(2)));
        assert!(row(&bench.printed(&["projection", "list"]), "sales ").starts_with("sales paused 5 2 5 "));

        let resumed = &bench.json(&["projection", "resume", "sales"])[0];
        assert_eq!((&resumed["projection"], &resumed["paused"]), (&json!("sales"), &json!(false)));
        sales.wait_for(head).unwrap();
    });
    let table = bench.printed(&["projection", "list"]);
    assert_eq!(row(&table, "sales "), "sales waiting 7 0 7 nobody");
    assert_eq!(listed(&bench)["runners"], json!([]));
    let said = bench.printed(&["projection", "pause", "sales"]);
    assert_eq!(said, "projection \"sales\" is paused at position 7\nnobody runs it at this moment\n");
    let said = bench.printed(&["projection", "resume", "sales"]);
    assert_eq!(said, "projection \"sales\" goes on behind position 7\nnobody runs it at this moment\n");
}

#[test]
fn a_rebuild_is_made_beside_and_a_reset_in_the_place() {
    let bench = Bench::new();
    let store = open(&bench);
    append(&store, 5);
    let sales = store.projection("sales");
    while_it_runs(sales.projector(store.events().read_all()), Beside, || {
        sales.caught_up().unwrap();
        bench.printed(&["projection", "pause", "sales"]);
        let said = bench.printed(&["projection", "rebuild", "sales", "--from", "3"]);
        let lines: Vec<_> = said.lines().collect();
        let made = "projection \"sales\" is made anew behind position 3, as generation 2, while generation 1 is read";
        let paused = "it is paused, and nothing of that is done before it is resumed";
        assert_eq!(&lines[..2], [made, paused]);
        assert!(lines.len() == 3 && lines[2].starts_with("it is run by "), "{said}");
        assert_eq!(
            listed(&bench)["rebuilding"],
            json!({"generation": 2, "position": 3, "failure": null, "parked": false})
        );
        let table = bench.printed(&["projection", "list"]);
        assert!(row(&table, "sales ").starts_with("sales paused, rebuilding 60 % 5 0 5 "), "{table}");
        bench.printed(&["projection", "resume", "sales"]);
        until("it is made anew", || listed(&bench)["generation"] == 2);
        assert_eq!(listed(&bench)["handled"], 2);

        bench.printed(&["projection", "rebuild", "sales"]);
        until("it is made anew from the start", || listed(&bench)["generation"] == 3);
        assert_eq!(listed(&bench)["handled"], 5);
        let said = bench.printed(&["projection", "reset", "sales"]);
        let again = "projection \"sales\" begins again, as generation 4\nit is run by ";
        assert!(said.starts_with(again), "{said}");
        sales.wait_for(5).unwrap();
        assert_eq!(listed(&bench)["handled"], 5);
        let reset = &bench.json(&["projection", "reset", "sales", "--from", "now"])[0];
        assert_eq!(
            (&reset["generation"], &reset["position"], &reset["handled"]),
            (&json!(5), &json!(5), &json!(0))
        );
    });
}

#[test]
fn one_that_is_parked_says_at_what_and_is_mended() {
    let bench = Bench::new();
    let store = open(&bench);
    append(&store, 3);
    let sales = store.projection("sales");
    let poison = |event: &Recorded, _: &mut Rows<'_>| -> Result<(), Failure> {
        if event.position() == 2 { Err("no such\ncustomer".into()) } else { Ok(()) }
    };
    let projector = sales.projector(store.events().read_all()).batch(1).attempts(1).drain();
    projector.run(poison).unwrap_err();
    let line = listed(&bench);
    let reason = "event 2 (Counted of stream \"c-1\"): no such\ncustomer";
    assert_eq!((&line["parked"], &line["attempts"], &line["lag"]), (&json!(true), &json!(1), &json!(2)));
    assert_eq!(line["failure"], reason);
    let shown = reason.replace('\n', "\\n");
    let table = bench.printed(&["projection", "list"]);
    assert_eq!(row(&table, "sales "), format!("sales parked 1 2 1 nobody 1 try: {shown}"));
    let said = bench.printed(&["projection", "resume", "sales"]);
    let again = "projection \"sales\" goes on behind position 1\nwhat failed is tried again: ";
    assert_eq!(said, format!("{again}{shown}\nnobody runs it at this moment\n"));
    drained(&store, "sales");
    assert_eq!(bench.printed(&["projection", "lag", "sales"]), "0\n");
}

#[test]
fn one_that_is_unknown_is_an_error_that_says_which_there_are() {
    let bench = Bench::new();
    for command in ["list", "lag x", "pause x", "resume x", "rebuild x", "reset x", "remove x"] {
        let arguments: Vec<_> = ["projection"].into_iter().chain(command.split(' ')).collect();
        let ended = bench.run(&arguments);
        assert!(ended.code() == 1 && ended.error().contains("there is no store at"), "{}", ended.error());
        assert!(!bench.path("a.db").exists(), "{command}");
    }
    let store = open(&bench);
    append(&store, 3);
    let unknown = |there: &str| {
        for command in ["lag", "pause", "resume", "rebuild", "reset", "remove"] {
            let ended = bench.run(&["projection", command, "x"]);
            let why = format!("millpond: projection {command}: there is no projection \"x\"; {there}\n");
            assert_eq!((ended.code(), ended.printed(), ended.error()), (1, String::new(), why));
        }
    };
    unknown("no projection has begun yet");
    drained(&store, ODD);
    unknown(&format!("there is \"{ODD}\""));
    drained(&store, "sales");
    unknown(&format!("there are \"{ODD}\" and \"sales\""));
    for n in 0..9 {
        drained(&store, &format!("p{n}"));
    }
    let many = bench.run(&["projection", "lag", "x"]).error();
    assert!(many.ends_with(", \"p7\", \"p8\" and more\n") && !many.contains("sales"), "{many}");
    let wrong: [&[&str]; 3] = [&["lag"], &["rebuild", "sales", "--from", "yesterday"], &["paws", "sales"]];
    for arguments in wrong {
        assert_eq!(bench.run(&[&["projection"], arguments].concat()).code(), 2, "{arguments:?}");
    }
    let ended = bench.run(&["projection", "pause", ""]);
    assert!(ended.code() == 1 && ended.error().starts_with("millpond: projection pause: "));
}

#[test]
fn odd_names_are_as_good_as_any_and_what_is_removed_is_gone() {
    let bench = Bench::new();
    let store = open(&bench);
    append(&store, 3);
    let odd = store.projection(ODD);
    let projector = odd.projector(store.events().read_all());
    // It ends by itself.
    while_it_runs(projector, nothing, || {
        odd.caught_up().unwrap();
        let line = listed(&bench);
        assert_eq!(
            (&line["projection"], &line["runners"][0]["pid"]),
            (&json!(ODD), &json!(std::process::id()))
        );
        assert!(bench.printed(&["projection", "list"]).contains(ODD));
        let said = bench.printed(&["projection", "pause", ODD]);
        assert!(said.starts_with(&format!("projection \"{ODD}\" is paused at position 3\n")), "{said}");
        bench.printed(&["projection", "resume", ODD]);
        let said = bench.printed(&["projection", "remove", ODD]);
        let gone = format!("projection \"{ODD}\" is forgotten; what it has written stays\nit was run by ");
        assert!(said.starts_with(&gone) && said.ends_with(", where that ends\n"), "{said}");
        until("its projector ends", || {
            store.inspect().projector(ODD).unwrap().is_none_or(|line| line.holder().is_none())
        });
    });
    assert_eq!(bench.json(&["projection", "list"]), [] as [Value; 0]);
    drained(&store, "sales");
    assert_eq!(
        bench.json(&["projection", "remove", "sales"]),
        [json!({"projection": "sales", "removed": true})]
    );
    assert_eq!(bench.run(&["projection", "remove", "sales"]).code(), 1);
}

#[test]
fn those_who_share_its_partitions_run_it_together() {
    let bench = Bench::new();
    let store = open(&bench);
    append(&store, 3);
    let mails = store.projection("mails");
    let reactor = || mails.reactor(store.events().read_all()).partitions(4);
    let (one, other) = (reactor(), reactor());
    let stoppers = [one.stopper(), other.stopper()].map(Stop);
    std::thread::scope(|scope| {
        scope.spawn(|| one.run(|_| Ok::<(), String>(())));
        scope.spawn(|| other.run(|_| Ok::<(), String>(())));
        mails.caught_up().unwrap();
        while listed(&bench)["runners"].as_array().is_none_or(|runners| runners.len() < 2) {}
        let line = listed(&bench);
        assert_eq!((&line["partitions"], &line["lag"], &line["handled"]), (&json!(4), &json!(0), &json!(3)));
        let table = bench.printed(&["projection", "list"]);
        assert!(row(&table, "mails ").starts_with("mails running 3 0 3 "), "{table}");
        assert!(row(&table, "mails ").contains(") and 1 other"), "{table}");
        let said = bench.printed(&["projection", "pause", "mails"]);
        assert!(said.starts_with("projection \"mails\" is paused at position 3\nit is run by "), "{said}");
        drop(stoppers);
    });
    assert!(row(&bench.printed(&["projection", "list"]), "mails ").ends_with("mails paused 3 0 3 nobody"));
}

#[test]
fn status_shows_projections() {
    let bench = Bench::new();
    let store = open(&bench);
    append(&store, 3);
    let fact = || row(&bench.printed(&["status"]), "projections ");
    assert_eq!(fact(), "projections 0, with 0 parked, 0 paused, 0 behind");
    for n in 0..23 {
        drained(&store, &format!("sales {n:02}"));
    }
    bench.printed(&["projection", "pause", "sales 03"]);
    assert_eq!(fact(), "projections 23, with 0 parked, 1 paused, 0 behind");
    append(&store, 1);
    let parks = store.projection("sales 01").projector(store.events().read_all()).attempts(1).drain();
    parks.run(|_: &Recorded, _: &mut Rows<'_>| -> Result<(), Failure> { Err("never".into()) }).unwrap_err();
    drained(&store, "sales 02");
    assert_eq!(fact(), "projections 23, with 1 parked, 1 paused, 22 behind");
    let table = bench.printed(&["status"]);
    assert!(table.contains("\nsales 19  ") && !table.contains("\nsales 20  "), "{table}");
    assert!(table.contains("\nand 3 more projections\n"), "{table}");
    let status = &bench.json(&["status"])[0];
    assert_eq!(status["projections"].as_array().unwrap().len(), 23);
    assert_eq!(status["projections"][1]["parked"], true);
}

#[test]
fn what_was_gone_past_is_listed_and_projected_once_more() {
    let bench = Bench::new();
    let store = open(&bench);
    append(&store, 3);
    let fails_at_two = |event: &Recorded, _: &mut Rows<'_>| -> Result<(), Failure> {
        if event.position() == 2 { Err("no such \"customer\"".into()) } else { Ok(()) }
    };
    let projector = || store.projection(ODD).projector(store.events().read_all()).attempts(1).dead_letters();
    projector().drain().run(fails_at_two).unwrap();
    let dead = bench.json(&["projection", "dead", ODD]);
    assert_eq!(dead.len(), 1);
    assert_eq!((&dead[0]["position"], &dead[0]["stream"]), (&json!(2), &json!("c-1")));
    assert_eq!(dead[0]["reason"], json!("no such \"customer\""));
    let table = bench.printed(&["projection", "dead", ODD]);
    assert!(row(&table, "1 ").starts_with("1 2 c-1 2 Counted"), "{table}");
    let none = bench.run(&["projection", "revive", ODD, "7"]);
    assert!(none.code() == 1 && none.error().contains("has no dead letter 7"), "{}", none.error());
    while_it_runs(projector(), nothing, || {
        let said = bench.printed(&["projection", "revive", ODD]);
        assert!(said.contains("1 event is projected once more"), "{said}");
        until("it was projected", || listed(&bench)["handled"] == json!(3));
    });
    let said = bench.printed(&["projection", "dead", ODD]);
    assert!(said.contains("has no dead letters"), "{said}");
    store.close().unwrap();
}
