//! A proxy before a server, which loses connections when it is told to.

use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;

use crate::connection::Connection;
use crate::cut::{Cut, Snare};
use crate::server::Server;
use crate::{fresh, url};

/// A proxy that listens at a port of its own, until it is dropped. The server behind it may end and come back.
pub struct Proxy {
    port: u16,
    inside: Arc<Inside>,
}

/// What the proxy shares with its threads.
struct Inside {
    server: u16,
    door: Mutex<Door>,
    snare: Snare,
}

/// Who may come in, and who has.
#[derive(Default)]
struct Door {
    refuses: bool,
    is_gone: bool,
    connections: Vec<Weak<Connection>>,
}

impl Proxy {
    /// A proxy before this server.
    ///
    /// # Panics
    /// If the machine has no port or no thread left to give.
    pub fn start(server: &Server) -> Proxy {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let inside = Inside { server: server.port(), door: Mutex::default(), snare: Snare::default() };
        let inside = Arc::new(inside);
        let listening = Arc::clone(&inside);
        aside(move || listening.listen(&listener));
        Proxy { port, inside }
    }

    /// Where clients find it, as [`Server::url`].
    pub fn url(&self) -> String {
        url(self.port)
    }

    /// The same with the name of a schema that nobody else was given, as [`Server::fresh`].
    pub fn fresh(&self) -> String {
        fresh(self.port)
    }

    /// Loses all connections at once, in both directions, and says how many there were.
    pub fn lose_all(&self) -> usize {
        let connections: Vec<_> =
            self.inside.door().connections.drain(..).filter_map(|connection| connection.upgrade()).collect();
        connections.iter().for_each(|connection| connection.lose());
        connections.len()
    }

    /// Closes every new connection at once, until [`Proxy::admit`]. Those that there are stay.
    pub fn refuse(&self) {
        self.inside.door().refuses = true;
    }

    /// Lets new connections in again.
    pub fn admit(&self) {
        self.inside.door().refuses = false;
    }

    /// Loses one connection: the next one whose client has sent this sequence. What it sends behind that arrives nowhere.
    ///
    /// For [`Cut::Unanswered`] the sequence has to be the end of a message, because the server works on whole ones only. A
    /// statement without parameters ends with a zero byte: `COMMIT\0`.
    ///
    /// # Panics
    /// If the sequence is empty.
    pub fn cut(&self, sequence: &[u8], cut: Cut) {
        self.inside.snare.set(sequence, cut);
    }

    /// How many connections were lost because of [`Proxy::cut`].
    pub fn cuts(&self) -> usize {
        self.inside.snare.sprung()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.inside.door().is_gone = true;
        // Wakes the thread that listens, which sees that and ends.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        self.lose_all();
    }
}

impl Inside {
    /// Lets clients in, until the proxy is gone.
    fn listen(self: &Arc<Inside>, listener: &TcpListener) {
        // One that is no connection any more went away before it was seen.
        for client in listener.incoming().flatten() {
            // Held until it is known that there is one more: whoever refuses or loses them finds all or none of it.
            let mut door = self.door();
            if door.is_gone {
                return;
            }
            if door.refuses {
                continue;
            }
            // A server that does not run is to the client a connection that is lost.
            let server = TcpStream::connect(("127.0.0.1", self.server));
            let Ok(connection) = server.and_then(|server| Connection::new(client, server)) else { continue };
            let connection = Arc::new(connection);
            door.connections.retain(|connection| connection.strong_count() > 0);
            door.connections.push(Arc::downgrade(&connection));
            self.carry(connection);
        }
    }

    /// A thread for each direction, which end with the connection.
    fn carry(self: &Arc<Inside>, connection: Arc<Connection>) {
        let (inside, up) = (Arc::clone(self), Arc::clone(&connection));
        aside(move || up.carry_up(&inside.snare));
        aside(move || connection.carry_down());
    }

    fn door(&self) -> MutexGuard<'_, Door> {
        self.door.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does it on a thread of its own, for which nobody waits.
fn aside(work: impl FnOnce() + Send + 'static) {
    thread::Builder::new().name("proxy".to_owned()).spawn(work).unwrap();
}
