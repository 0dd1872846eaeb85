//! Connections: how many, how long, how slow. What they are answered belongs to the routes in `mod.rs`.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::runtime::{Heart, Stop};

/// Connections at once; one more is closed unanswered. Prometheus, a probe and a person need three.
const CONNECTIONS: usize = 64;
/// A request's head must come within this time, so that slow senders do not hold every connection.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
/// A connection ends after this time, whatever it does.
const CONNECTION_FOR: Duration = Duration::from_secs(60);
/// The head of a request, in bytes.
const HEAD_BYTES: usize = 16 << 10;
/// How often the stop token is looked at and the heart beats.
const TICK: Duration = Duration::from_millis(100);

/// Serves until the token is set. Failed accepts are answered with a pause: they mean that the process has no file descriptor left,
/// and that passes.
pub(super) async fn serve(
    listener: std::net::TcpListener,
    router: Router,
    heart: &Heart,
    stop: &Stop,
) -> std::io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    let mut tick = tokio::time::interval(TICK);
    while !stop.is_set() {
        tokio::select! {
            _ = tick.tick() => heart.beat(),
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => admit(stream, router.clone(), &free),
                Err(e) => {
                    log::warn!(stage = "api"; "a connection could not be accepted: {e}");
                    tokio::time::sleep(TICK).await;
                }
            },
        }
    }
    Ok(())
}

fn admit(stream: TcpStream, router: Router, free: &Arc<Semaphore>) {
    let Ok(permit) = Arc::clone(free).try_acquire_owned() else { return };
    tokio::spawn(async move {
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_WITHIN)
            .max_buf_size(HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
        // A client that goes away or talks nonsense concerns nobody else.
        let _ = tokio::time::timeout(CONNECTION_FOR, connection).await;
        drop(permit);
    });
}
