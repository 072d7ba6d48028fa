//! A future that is waited for, but not for ever: what never comes is a finding, not a test that hangs.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use crate::clock;

struct Bell(SyncSender<()>);

impl Wake for Bell {
    fn wake(self: Arc<Bell>) {
        // One ring that was not heard yet is enough.
        let _ = self.0.try_send(());
    }
}

/// What the future gives, if it does so in time. Otherwise it is dropped.
pub fn within<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    let (ring, rung) = sync_channel(1);
    let waker = Waker::from(Arc::new(Bell(ring)));
    let mut future = pin!(future);
    let end = clock::now() + limit;
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(output);
        }
        let left = end.saturating_duration_since(clock::now());
        if left.is_zero() || rung.recv_timeout(left).is_err() {
            return None;
        }
    }
}
