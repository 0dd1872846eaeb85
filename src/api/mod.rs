//! The HTTP server: health for a supervisor, readiness for a deployment, metrics for Prometheus, statistics for a person.
//!
//! Belongs here: the routes and the server's life. Does not: how numbers are collected (see `telemetry`), what makes the daemon ready
//! (the caller tells), passwords and TLS (there are none: it listens on the loopback unless told otherwise).

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::runtime::{Clock, Heart, Hearts, Stop, Worker};
use crate::telemetry::Metrics;

mod events;
mod health;
mod prometheus;
mod server;
mod stats;

pub use events::{EventQuery, History};
pub use health::Readiness;

/// What the server needs.
pub struct Context {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// When the daemon started, and what time it is.
    pub clock: Clock,
    /// Every stage's pulse, for `/healthz`.
    pub hearts: Hearts,
    /// The server's own pulse; it beats at least every half second.
    pub heart: Heart,
    /// Whether the start is complete, for `/readyz`. Called on the server's thread: it must not block.
    pub readiness: Arc<dyn Fn() -> Readiness + Send + Sync>,
    /// What is kept of events, for `/events`; None where nothing is.
    pub history: Option<History>,
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The address cannot be listened on.
    #[error("cannot listen on {listen}: {reason}; choose another address in [api] listen, or write enabled = false")]
    Bind {
        /// The address.
        listen: SocketAddr,
        /// What the system said.
        reason: std::io::Error,
    },
    /// The system gave no thread or no event queue.
    #[error("the HTTP server cannot start: {0}")]
    Start(std::io::Error),
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    local_addr: SocketAddr,
    worker: Worker,
}

impl Server {
    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Waits for its end after the stop token was set; false when that takes longer.
    pub fn join(self, clock: &Clock, at_most: Duration) -> bool {
        self.worker.join_within(clock, at_most)
    }
}

/// Listens and serves on the thread "api" until the token is set.
///
/// # Errors
/// When the address is taken or not ours, or the system has no thread to give.
pub fn start(context: Context, stop: Stop) -> Result<Server, ApiError> {
    let bind = |reason| ApiError::Bind { listen: context.listen, reason };
    let listener = TcpListener::bind(context.listen).map_err(bind)?;
    listener.set_nonblocking(true).map_err(bind)?;
    let local_addr = listener.local_addr().map_err(bind)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ApiError::Start)?;
    let serve = move || {
        let heart = context.heart.clone();
        let router = router(Arc::new(context));
        if let Err(e) = runtime.block_on(server::serve(listener, router, &heart, &stop)) {
            log::error!(stage = "api"; "the HTTP server ended: {e}");
        }
    };
    let worker = Worker::spawn("api", serve).map_err(ApiError::Start)?;
    Ok(Server { local_addr, worker })
}

type Shared = State<Arc<Context>>;

fn router(context: Arc<Context>) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/stats", get(statistics))
        .route("/events", get(events_kept))
        .fallback(|| async { (StatusCode::NOT_FOUND, "there is /healthz, /readyz, /metrics, /stats and /events\n") })
        .with_state(context)
}

async fn healthz(State(context): Shared) -> Response {
    health::alive(&context.hearts.silent())
}

async fn readyz(State(context): Shared) -> Response {
    health::ready((context.readiness)())
}

async fn metrics(State(context): Shared) -> Response {
    let text = prometheus::text(&context.metrics, context.clock.mono());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

async fn events_kept(State(context): Shared, uri: Uri) -> Response {
    events::answer(context.history.clone(), uri.query().unwrap_or_default()).await
}

async fn statistics(State(context): Shared) -> Response {
    axum::Json(stats::Stats::of(&context.metrics, context.clock.mono())).into_response()
}
