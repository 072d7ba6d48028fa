//! The backends that every case runs on, and what cases need to wait without sleeping.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use millpond::{Durability, Event, Location, ManualClock, Result, Store, StoreBuilder};
use uuid::Uuid;

/// Runs each case once on a store in memory, once on a fresh file, and once on a fresh schema of a server; `on a clock:` that only
/// the case moves.
macro_rules! each_backend {
    (on a clock: $($case:ident)+) => {
        mod memory { $( #[test] fn $case() { $crate::backends::by_hand_on_memory(super::$case) } )+ }
        mod sqlite { $( #[test] fn $case() { $crate::backends::by_hand_on_file(super::$case) } )+ }
        mod postgres { $( #[test] fn $case() { $crate::backends::by_hand_on_server(super::$case) } )+ }
    };
    ($($case:ident)+) => {
        mod memory { $( #[test] fn $case() { $crate::backends::on_memory(super::$case) } )+ }
        mod sqlite { $( #[test] fn $case() { $crate::backends::on_file(super::$case) } )+ }
        mod postgres { $( #[test] fn $case() { $crate::backends::on_server(super::$case) } )+ }
    };
}

/// No case takes this long; it only turns a hang into a failure.
const GUARD: Duration = Duration::from_secs(120);

pub(crate) fn on_memory<F: Future<Output = Result<()>>>(case: impl FnOnce(Store) -> F) {
    on(Location::Memory, case);
}

pub(crate) fn on_file<F: Future<Output = Result<()>>>(case: impl FnOnce(Store) -> F) {
    let folder = tempfile::tempdir().unwrap();
    on(Location::File(folder.path().join("case.db")), case);
}

/// Nothing if there is no server to be had, which is said.
pub(crate) fn on_server<F: Future<Output = Result<()>>>(case: impl FnOnce(Store) -> F) {
    if let Some(location) = fresh_schema() {
        on(location, case);
    }
}

fn fresh_schema() -> Option<Location> {
    let server = millpond_postgres_server::shared()?;
    Some(Location::try_from(server.fresh()).unwrap())
}

/// No case cuts the power of a server.
fn builder(location: &Location) -> StoreBuilder {
    match location {
        Location::Postgres(_) => Store::builder().durability(Durability::ProcessCrash),
        _ => Store::builder(),
    }
}

fn on<F: Future<Output = Result<()>>>(location: Location, case: impl FnOnce(Store) -> F) {
    wait(async move {
        let store = builder(&location).open(location).await?;
        case(store.clone()).await?;
        store.close().await
    })
    .unwrap();
}

/// On a clock that only the test moves. Whoever begins to keep the time looks at it anew.
pub(crate) fn by_hand<F: Future<Output = Result<()>>>(
    location: Location,
    case: impl FnOnce(Store, Arc<ManualClock>) -> F,
) {
    let clock = ManualClock::new();
    wait(async {
        let store = builder(&location).clock(Arc::<ManualClock>::clone(&clock)).open(location).await?;
        case(store.clone(), clock).await?;
        store.close().await
    })
    .unwrap();
}

pub(crate) fn by_hand_on_memory<F: Future<Output = Result<()>>>(
    case: impl FnOnce(Store, Arc<ManualClock>) -> F,
) {
    by_hand(Location::Memory, case);
}

pub(crate) fn by_hand_on_file<F: Future<Output = Result<()>>>(
    case: impl FnOnce(Store, Arc<ManualClock>) -> F,
) {
    let folder = tempfile::tempdir().unwrap();
    by_hand(Location::File(folder.path().join("case.db")), case);
}

pub(crate) fn by_hand_on_server<F: Future<Output = Result<()>>>(
    case: impl FnOnce(Store, Arc<ManualClock>) -> F,
) {
    if let Some(location) = fresh_schema() {
        by_hand(location, case);
    }
}

/// The same on all backends.
pub(crate) fn on_a_clock<F: Future<Output = Result<()>>>(case: impl Fn(Store, Arc<ManualClock>) -> F) {
    by_hand_on_memory(&case);
    by_hand_on_file(&case);
    by_hand_on_server(&case);
}

/// Runs a future on a runtime with threads of its own, but not for ever.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let guarded = async { tokio::time::timeout(GUARD, future).await.expect("it hangs") };
    let output = runtime.block_on(guarded);
    runtime.shutdown_background();
    output
}

/// Asks until it is so.
pub(crate) async fn until(mut so: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    while !so().await? {
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// Asks until so many callers wait for locks of the store.
pub(crate) async fn waiting(store: &Store, tickets: u64) -> Result<()> {
    let inspect = store.inspect();
    until(async || Ok(inspect.summary().await?.tickets_waiting == tickets)).await
}

/// A future that has been let go one step, which sends its request. Dropping it drops the call.
pub(crate) struct Begun<F: Future> {
    call: Pin<Box<F>>,
    done: Option<F::Output>,
}

impl<F: Future> Begun<F> {
    /// Whether it was not answered in that first step.
    pub(crate) fn is_pending(&self) -> bool {
        self.done.is_none()
    }
}

impl<F: Future<Output: Unpin>> Future for Begun<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        match self.done.take() {
            Some(done) => Poll::Ready(done),
            None => self.call.as_mut().poll(context),
        }
    }
}

/// Awaits all of them at once.
pub(crate) async fn together<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut begun: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        for (future, output) in begun.iter_mut().filter(|(_, output)| output.is_none()) {
            if let Poll::Ready(done) = future.as_mut().poll(context) {
                *output = Some(done);
            }
        }
        if begun.iter().all(|(_, output)| output.is_some()) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    begun.into_iter().filter_map(|(_, output)| output).collect()
}

/// Lets a future go one step.
pub(crate) fn begin<F: Future>(future: F) -> Begun<F> {
    struct Nobody;
    impl Wake for Nobody {
        fn wake(self: Arc<Nobody>) {}
    }
    let waker = Waker::from(Arc::new(Nobody));
    let mut call = Box::pin(future);
    let done = match call.as_mut().poll(&mut Context::from_waker(&waker)) {
        Poll::Ready(done) => Some(done),
        Poll::Pending => None,
    };
    Begun { call, done }
}

/// An event with a number in it.
pub(crate) fn event(n: u64) -> Event {
    Event::new("Counted", &serde_json::json!({ "n": n })).unwrap()
}

/// The same with the id that belongs to the number.
pub(crate) fn known(n: u64) -> Event {
    event(n).id(id(n))
}

pub(crate) fn id(n: u64) -> Uuid {
    Uuid::from_u128(u128::from(n) | 7 << 76)
}

/// All events of a stream of events, as `(stream, version, position, n)`.
pub(crate) async fn all(mut stream: millpond::EventStream) -> Result<Vec<(String, u64, u64, u64)>> {
    let mut found = Vec::new();
    while let Some(event) = stream.next().await {
        let event = event?;
        let n = event.decode::<serde_json::Value>()?["n"].as_u64().unwrap_or(0);
        found.push((event.stream().to_owned(), event.version(), event.position(), n));
    }
    Ok(found)
}

/// Runs a test in a process of its own: what it counts (threads) is nobody else's.
pub(crate) fn alone(test: &str, body: impl FnOnce()) {
    const NAME: &str = "MILLPOND_TEST_ALONE";
    if std::env::var_os(NAME).is_some_and(|name| name == test) {
        return body();
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(NAME, test)
        .output()
        .unwrap();
    let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (shown(&output.stdout), shown(&output.stderr));
    assert!(output.status.success() && out.contains("1 passed"), "{test}: {out}\n{err}");
}

/// How many threads this process has. The one that opens a store ends when it is open; whether it has done so by now is
/// of no interest.
pub(crate) fn threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names =
        tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).unwrap_or_default());
    names.filter(|name| name.trim() != "millpond-open").count()
}

/// Bytes of memory that this process has.
pub(crate) fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}
