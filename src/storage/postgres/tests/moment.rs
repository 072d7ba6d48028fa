//! Whoever looks sees one moment, also if he has to look more than once.

use super::super::count;
use super::super::transaction::Transaction;
use super::trips::group;
use super::{fresh, ground, join};

#[test]
fn one_transaction_sees_one_moment_in_all_its_steps() {
    let Some(url) = fresh() else { return };
    let ground = ground(&url);
    let (mut session, mut groups) = (join(&ground), 0);
    let line = ground.connect().unwrap();
    let seen = |transaction: &Transaction<'_>| {
        let head = transaction.read(|store| Ok(store.head())).unwrap();
        let summary = count::summary(transaction, ground.address.schema()).unwrap();
        (head, summary.head, summary.streams, summary.queues)
    };
    let transaction = Transaction::on(&line, &ground, false);
    assert_eq!(transaction.read(|store| Ok(store.head())).unwrap(), 0);
    group(&mut session, &mut groups, 0..3);
    assert_eq!(seen(&transaction), (0, 0, 0, 0), "the first thing asked for was asked before the group");
    transaction.end();
    assert_eq!(seen(&Transaction::on(&line, &ground, false)), (3, 3, 3, 3), "the next one is another");
}
