//! A server answers, as it was told to be, and what was committed is there when it comes back.

use millpond_postgres_server::{Server, Settings, shared};

use crate::client::{connect, number, run};

#[test]
fn a_server_answers() {
    let Some(server) = shared() else { return };
    run(async {
        let client = connect(&server.url()).await.unwrap();
        assert_eq!(number(&client, "SELECT 1").await, 1);
    });
}

#[test]
fn nobody_else_is_given_the_same_schema() {
    let Some(server) = shared() else { return };
    let (one, other) = (server.fresh(), server.fresh());
    assert_ne!(one, other);
    let (url, name) = one.split_once("?schema=").unwrap();
    assert_eq!(url, server.url());
    assert!(name.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric()), "{name}");
}

#[test]
fn a_server_is_as_it_was_told_to_be() {
    let extra = vec![("cluster_name".to_owned(), "it's ours".to_owned())];
    let Some(server) = Server::start(Settings { durable: true, extra }) else { return };
    run(async {
        let client = connect(&server.url()).await.unwrap();
        let asked = "SELECT current_setting('cluster_name'), current_setting('fsync')";
        let row = client.query_one(asked, &[]).await.unwrap();
        assert_eq!((row.get(0), row.get(1)), ("it's ours", "on"));
    });
}

#[test]
fn what_was_committed_is_there_when_a_server_comes_back() {
    let Some(mut server) = Server::start(Settings { durable: true, ..Settings::default() }) else { return };
    let ends: [fn(&mut Server); 2] = [Server::kill, Server::stop_immediate];
    run(async {
        let client = connect(&server.url()).await.unwrap();
        client.batch_execute("CREATE TABLE kept (number integer)").await.unwrap();
        for (end, kept) in ends.into_iter().zip(1..) {
            let client = connect(&server.url()).await.unwrap();
            client.batch_execute("INSERT INTO kept VALUES (1)").await.unwrap();
            client.batch_execute("BEGIN; INSERT INTO kept VALUES (1)").await.unwrap();
            end(&mut server);
            assert!(client.batch_execute("COMMIT").await.is_err());
            assert!(connect(&server.url()).await.is_err());
            server.come_back();
            let client = connect(&server.url()).await.unwrap();
            assert_eq!(number(&client, "SELECT count(*)::integer FROM kept").await, kept);
        }
    });
}
