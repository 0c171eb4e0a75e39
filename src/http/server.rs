//! Takes connections and serves them within limits, until it is told to stop.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time;
use tokio_io_timeout::TimeoutStream;

/// What one client may take of the server. No body is ever read: there is only GET.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at a time; more wait.
    pub connections: usize,
    /// A request's line and headers, bytes.
    pub head_bytes: usize,
    /// A request's headers.
    pub headers: usize,
    /// For the head of a request to arrive; also how long an idle connection is kept.
    pub head_time: Duration,
    /// For a client to take some more of an answer.
    pub stall_time: Duration,
    /// After this a connection is closed with its next answer, so that no reader holds one for ever.
    pub connection_age: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 256,
            head_bytes: 16 * 1024,
            headers: 64,
            head_time: Duration::from_secs(30),
            stall_time: Duration::from_secs(30),
            connection_age: Duration::from_secs(300),
        }
    }
}

/// For a started answer to be taken when its connection or the process is to end.
const LAST_ANSWER: Duration = Duration::from_secs(2);
/// After a connection could not be taken, as when file descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop` is done, then lets started answers be finished within 2 s.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: impl Future<Output = ()>) {
    let permits = Arc::new(Semaphore::new(limits.connections));
    let (stopping, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        let accepted = async {
            // The semaphore is never closed, so there always is a permit in the end.
            let permit = Arc::clone(&permits).acquire_owned().await;
            listener.accept().await.map(|(stream, _)| (stream, permit))
        };
        tokio::select! {
            () = &mut stop => break,
            accepted = accepted => match accepted {
                Ok((stream, permit)) => {
                    let (router, stopped) = (router.clone(), stopped.clone());
                    connections.spawn(async move {
                        let _permit = permit;
                        connection(stream, router, limits, stopped).await;
                    });
                }
                Err(error) if is_the_peers(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "can't take a connection");
                    time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    stopping.send_replace(true);
    let all = async { while connections.join_next().await.is_some() {} };
    // Dropping the set ends those that are left.
    let _ = time::timeout(LAST_ANSWER, all).await;
}

async fn connection(stream: TcpStream, router: Router, limits: Limits, mut stopped: watch::Receiver<bool>) {
    let mut stream = Box::pin(TimeoutStream::new(stream));
    stream.as_mut().set_write_timeout_pinned(Some(limits.stall_time));
    let mut served = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head_time)
            .max_buf_size(limits.head_bytes)
            .max_headers(limits.headers)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
    );
    let ended = tokio::select! {
        ended = served.as_mut() => Some(ended),
        _ = stopped.wait_for(|stopped| *stopped) => None,
        () = time::sleep(limits.connection_age) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            served.as_mut().graceful_shutdown();
            time::timeout(LAST_ANSWER, served).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Whether a connection was given up by who asked for it, before it was taken.
fn is_the_peers(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}
