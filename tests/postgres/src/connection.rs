//! A connection through a proxy: what is sent in either direction is carried on, until it is lost.

use std::io::{Read, Result, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::cut::{Cut, Snare};

/// Most bytes that are carried at once.
const PIECE: usize = 16 << 10;

/// Both ends of it.
pub(crate) struct Connection {
    client: TcpStream,
    server: TcpStream,
    /// Whether the client is not to hear any more.
    unanswered: AtomicBool,
}

impl Connection {
    /// Between a client and a server; nothing is carried yet.
    pub(crate) fn new(client: TcpStream, server: TcpStream) -> Result<Connection> {
        // Questions and answers are small, and each waits for the other.
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        Ok(Connection { client, server, unanswered: AtomicBool::new(false) })
    }

    /// Carries what the client sends, until it sends no more or the snare has sprung.
    pub(crate) fn carry_up(&self, snare: &Snare) {
        let (mut piece, mut before) = (vec![0; PIECE], Vec::new());
        while let Ok(length @ 1..) = (&self.client).read(&mut piece) {
            let piece = &piece[..length];
            match snare.look(&mut before, piece) {
                None if (&self.server).write_all(piece).is_ok() => {}
                None => break,
                Some((_, Cut::Unheard)) => return self.lose(),
                Some((end, Cut::Unanswered)) => {
                    self.unanswered.store(true, Ordering::SeqCst);
                    // If that fails the connection is lost by itself.
                    let _ = (&self.server).write_all(&piece[..end]);
                    break;
                }
            }
        }
        // The server works on all that it has got before it sees that no more will come, and ends.
        let _ = self.server.shutdown(Shutdown::Write);
    }

    /// Carries what the server answers, until it ends.
    pub(crate) fn carry_down(&self) {
        let mut piece = vec![0; PIECE];
        while let Ok(length @ 1..) = (&self.server).read(&mut piece) {
            let heard = !self.unanswered.load(Ordering::SeqCst);
            if heard && (&self.client).write_all(&piece[..length]).is_err() {
                break;
            }
        }
        self.lose();
    }

    /// Ends it at both ends, whoever reads or writes.
    pub(crate) fn lose(&self) {
        // An end that fails to be ended has ended.
        let _ = self.client.shutdown(Shutdown::Both);
        let _ = self.server.shutdown(Shutdown::Both);
    }
}
