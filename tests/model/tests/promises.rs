//! Every promise holds in the small model, and each has mutants under which it does not.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that is wrong should fail")]

use std::sync::LazyLock;

use model::mutant::Mutant;
use model::run::{Report, SMALL, explore};
use model::state::Bounds;
use model::world::World;

/// The protocol as it is meant, explored once for all tests.
static MEANT: LazyLock<Report> = LazyLock::new(|| explore(World { bounds: SMALL, fair: false }, None, 1));

/// Whether the promise holds, and breaking this rule breaks it, in a model that allows as many restarts.
#[track_caller]
fn breaks(promise: &'static str, mutant: Mutant, restarts: u8) {
    assert!(MEANT.properties.contains(&(promise, false)), "{promise} is broken without {mutant:?}");
    let bounds = Bounds { mutant, restarts, ..SMALL };
    let fair = promise == "l5_who_waits_is_served_in_the_end";
    let report = explore(World { bounds, fair }, Some(promise), 1);
    assert!(report.broken().contains(&promise), "{mutant:?} does not break {promise}: {}", report.json());
}

#[test]
fn t18_the_protocol_keeps_every_promise_in_the_small_model() {
    assert_eq!(MEANT.broken(), [""; 0], "{:?}", MEANT.counterexamples);
    assert!(MEANT.states > 200_000, "the model has shrunk: {}", MEANT.json());
}

#[test]
fn l1_at_most_one_live_lease_holds_and_its_mutants_do_not() {
    breaks("l1_at_most_one_live_lease", Mutant::TakeWhatIsHeld, 0);
    breaks("l1_at_most_one_live_lease", Mutant::BeatsDoNotCount, 0);
}

#[test]
fn l2_tokens_only_grow_holds_and_its_mutants_do_not() {
    breaks("l2_tokens_only_grow", Mutant::TokenFromMaxPlusNothing, 0);
    breaks("l2_tokens_only_grow", Mutant::CounterDiesWithItsRow, 1);
}

#[test]
fn l3_no_write_with_a_stale_token_lands_holds_and_its_mutants_do_not() {
    breaks("l3_no_write_with_a_stale_token_lands", Mutant::NoTokenCheck, 0);
}

#[test]
fn l4_not_before_its_ttl_holds_and_its_mutants_do_not() {
    breaks("l4_not_before_its_ttl", Mutant::BeatsDoNotCount, 0);
    breaks("l4_not_before_its_ttl", Mutant::TakeWhatIsHeld, 0);
    breaks("l4_not_before_its_ttl", Mutant::TimeBeforeTheTurn, 1);
}

#[test]
fn l4_an_expired_lease_is_not_revived_holds_and_its_mutants_do_not() {
    breaks("l4_an_expired_lease_is_not_revived", Mutant::BeatBeforeFreeing, 0);
}

#[test]
fn l5_in_ticket_order_among_the_living_holds_and_its_mutants_do_not() {
    breaks("l5_in_ticket_order_among_the_living", Mutant::GrantByNewestTicket, 0);
    breaks("l5_in_ticket_order_among_the_living", Mutant::LateComerTakesTheVoid, 0);
}

#[test]
fn l5_what_is_not_taken_up_in_time_goes_on_holds_and_its_mutants_do_not() {
    breaks("l5_what_is_not_taken_up_in_time_goes_on", Mutant::TakeUpHasNoLimit, 0);
}

#[test]
fn l5_no_free_lock_with_a_living_waiter_holds_and_its_mutants_do_not() {
    breaks("l5_no_free_lock_with_a_living_waiter", Mutant::FreeWithoutPassingOn, 0);
}

#[test]
fn l5_who_waits_is_woken_holds_and_its_mutants_do_not() {
    breaks("l5_who_waits_is_woken", Mutant::DeathIsNoNews, 0);
    breaks("l5_who_waits_is_woken", Mutant::SettlingIsNoNews, 0);
    breaks("l5_who_waits_is_woken", Mutant::FailureIsForgotten, 0);
}

#[test]
fn l5_who_waits_is_in_the_line_holds_and_its_mutants_do_not() {
    breaks("l5_who_waits_is_in_the_line", Mutant::VoidTicketWaitsOn, 0);
}

/// From every state of a smaller model; the program does it in the full one.
#[test]
fn l5_who_waits_is_served_in_the_end_holds_and_its_mutants_do_not() {
    let promise = "l5_who_waits_is_served_in_the_end";
    let world = World { bounds: Bounds { numbers: 2, ..SMALL }, fair: true };
    assert!(!explore(world, None, 1).broken().contains(&promise));
    for mutant in [
        Mutant::TurnOutlivesItsHolder,
        Mutant::SettlingIsNoNews,
        Mutant::FailureIsForgotten,
        Mutant::VoidTicketWaitsOn,
    ] {
        breaks(promise, mutant, 0);
    }
}

#[test]
fn l6_a_crashed_holder_is_skipped_at_once_holds_and_its_mutants_do_not() {
    breaks("l6_a_crashed_holder_is_skipped_at_once", Mutant::DeadOnlyByTtl, 0);
}

#[test]
fn l6_no_ticket_without_a_caller_holds_and_its_mutants_do_not() {
    breaks("l6_no_ticket_without_a_caller", Mutant::DoubtLooksOnce, 0);
}

#[test]
fn g8_a_dead_turn_holder_frees_the_turn_holds_and_its_mutants_do_not() {
    breaks("g8_a_dead_turn_holder_frees_the_turn", Mutant::TurnOutlivesItsHolder, 0);
}

/// What only sometimes happens needs the whole space to be missed: a smaller one.
#[test]
fn l4_expired_can_be_granted_holds_and_its_mutants_do_not() {
    let bounds = Bounds { mutant: Mutant::NoExpiry, numbers: 2, ..SMALL };
    assert!(explore(World { bounds, fair: false }, None, 1).broken().contains(&"l4_expired_can_be_granted"));
}

/// Nothing in the list above is left out.
#[test]
fn every_mutant_has_a_name() {
    for mutant in Mutant::ALL {
        assert_eq!(Mutant::named(&format!("{mutant:?}")), Some(mutant));
    }
}
