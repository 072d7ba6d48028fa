//! A proxy carries everything, and loses what it is told to.

use millpond_postgres_server::{Cut, Proxy, shared};

use crate::client::{connect, number, run};

/// A statement as it is sent: the server has all of it.
const COMMIT: &[u8] = b"COMMIT\0";

#[test]
fn what_is_sent_arrives_whole_in_both_directions() {
    let Some(server) = shared() else { return };
    let proxy = Proxy::start(server);
    run(async {
        let client = connect(&proxy.url()).await.unwrap();
        let long = "pond ".repeat(100_000);
        let row = client.query_one("SELECT $1::text", &[&long]).await.unwrap();
        assert_eq!(row.get::<_, String>(0), long);
        assert_eq!(proxy.cuts(), 0);
    });
}

#[test]
fn all_connections_are_lost_at_once() {
    let Some(server) = shared() else { return };
    let proxy = Proxy::start(server);
    run(async {
        let clients = [connect(&proxy.url()).await.unwrap(), connect(&proxy.url()).await.unwrap()];
        assert_eq!(proxy.lose_all(), clients.len());
        for client in clients {
            assert!(client.batch_execute("SELECT 1").await.is_err());
        }
        let client = connect(&proxy.url()).await.unwrap();
        assert_eq!(number(&client, "SELECT 1").await, 1);
    });
}

#[test]
fn nobody_new_comes_in_while_a_proxy_refuses() {
    let Some(server) = shared() else { return };
    let proxy = Proxy::start(server);
    run(async {
        let client = connect(&proxy.url()).await.unwrap();
        proxy.refuse();
        assert!(connect(&proxy.url()).await.is_err());
        assert_eq!(number(&client, "SELECT 1").await, 1);
        proxy.admit();
        assert!(connect(&proxy.url()).await.is_ok());
    });
}

#[test]
fn a_commit_that_is_unheard_is_none() {
    assert_committed(Cut::Unheard, "unheard", 0);
}

#[test]
fn a_commit_that_is_unanswered_is_one() {
    assert_committed(Cut::Unanswered, "unanswered", 1);
}

/// How many rows are there, where one was inserted and the connection was lost at the commit.
fn assert_committed(cut: Cut, table: &str, rows: i32) {
    let Some(server) = shared() else { return };
    let proxy = Proxy::start(server);
    run(async {
        let witness = connect(&server.url()).await.unwrap();
        witness.batch_execute(&format!("CREATE TABLE {table} (number integer)")).await.unwrap();
        let client = connect(&proxy.url()).await.unwrap();
        client.batch_execute("BEGIN").await.unwrap();
        client.batch_execute(&format!("INSERT INTO {table} VALUES (1)")).await.unwrap();
        proxy.cut(COMMIT, cut);
        assert!(client.batch_execute("COMMIT").await.is_err());
        assert_eq!(proxy.cuts(), 1);
        assert_eq!(number(&witness, &format!("SELECT count(*)::integer FROM {table}")).await, rows);
    });
}

#[test]
fn one_connection_is_lost_at_its_commit_and_no_other() {
    let Some(server) = shared() else { return };
    let proxy = Proxy::start(server);
    run(async {
        let (first, second) = (connect(&proxy.url()).await.unwrap(), connect(&proxy.url()).await.unwrap());
        proxy.cut(COMMIT, Cut::Unheard);
        for client in [&first, &second] {
            client.batch_execute("BEGIN").await.unwrap();
        }
        assert!(first.batch_execute("COMMIT").await.is_err());
        second.batch_execute("COMMIT").await.unwrap();
        assert_eq!(proxy.cuts(), 1);
    });
}
