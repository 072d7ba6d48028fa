//! Benches: what their rows look like, never how fast anything is.

use millpond_postgres_server::{Server, Settings};

use super::Bench;

/// How many schemas of benches there are.
async fn schemas(url: &str) -> i64 {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let sql = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'bench%'";
    client.query_one(sql, &[]).await.unwrap().get(0)
}

#[test]
fn on_a_server_appends_are_measured_beside_the_floor_and_nothing_is_left() {
    // One that has what is committed on disk: a store is not opened on another.
    let Some(server) = Server::start(Settings { durable: true, extra: Vec::new() }) else { return };
    let (bench, url) = (Bench::new(), server.fresh());
    let on_server = ["--store", &url, "bench"];
    let short = ["--callers", "1,3", "--seconds", "0.05", "--rounds", "1"];
    for words in [&short[..], &[&["append"], &short[..]].concat()] {
        let rows = bench.json(&[&on_server[..], words].concat());
        assert_eq!(rows.len(), 2, "{rows:?}");
        for (row, callers) in rows.iter().zip([1, 3]) {
            assert_eq!((&row["workload"], &row["callers"]), (&"append".into(), &callers.into()));
            assert_eq!(row["durability"], "fsync=on, synchronous_commit=on");
            for figure in [
                "ours_per_s",
                "floor_per_s",
                "ratio",
                "p50_us",
                "p99_us",
                "floor_p50_us",
                "floor_p99_us",
                "p99_ratio",
            ] {
                assert!(row[figure].as_f64().is_some_and(|figure| figure > 0.0), "{figure}: {row}");
            }
        }
    }
    let ended = bench.run(&[&on_server[..], &["append", "lock"]].concat());
    let why = "millpond: bench: lock on PostgreSQL is not there; append is\n";
    assert_eq!((ended.code(), ended.error().as_str()), (1, why));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    assert_eq!(runtime.block_on(schemas(&server.url())), 0);
}
