//! What Prometheus scrapes.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

/// The media type of OpenMetrics text, which Prometheus reads.
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Bounds of the latency histograms, in seconds.
const SECONDS: [f64; 12] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 5.0,
];

/// Every metric, in a registry of its own.
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    latency: Family<RouteLabel, Histogram, fn() -> Histogram>,
    store_latency: Histogram,
    webhook_latency: Histogram,
    redis_up: Gauge,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    route: Arc<str>,
    status: u16,
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RouteLabel {
    route: Arc<str>,
}

/// A route, with what is counted of it alone at hand.
pub struct Route {
    /// Its pattern.
    pub pattern: Arc<str>,
    latency: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("vylux_pack");
        let requests = Family::default();
        let latency = Family::new_with_constructor((|| Histogram::new(SECONDS)) as fn() -> Histogram);
        let store_latency = Histogram::new(SECONDS);
        let webhook_latency = Histogram::new(SECONDS);
        let redis_up = Gauge::default();
        registry.register("requests", "Requests by route, status and reason", requests.clone());
        registry.register("request_duration_seconds", "How long an answer took", latency.clone());
        registry.register(
            "store_duration_seconds",
            "How long looks for a key took in the record store",
            store_latency.clone(),
        );
        registry.register(
            "webhook_duration_seconds",
            "How long webhooks took to answer, or were waited for",
            webhook_latency.clone(),
        );
        registry.register(
            "redis_up",
            "Whether rate limits are counted in Redis (1) or in this process (0)",
            redis_up.clone(),
        );
        registry.register(
            "build",
            "What is running",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        Self {
            registry,
            requests,
            latency,
            store_latency,
            webhook_latency,
            redis_up,
        }
    }
}

impl Metrics {
    /// What is counted of a route.
    #[must_use]
    pub fn route(&self, pattern: &str) -> Route {
        let pattern = Arc::from(pattern);
        let label = RouteLabel {
            route: Arc::clone(&pattern),
        };
        let latency = self.latency.get_or_create(&label).clone();
        Route { pattern, latency }
    }

    /// Counts an answer.
    pub fn count_request(&self, route: &Route, status: u16, reason: &'static str, took: Duration) {
        let labels = RequestLabels {
            route: Arc::clone(&route.pattern),
            status,
            reason,
        };
        self.requests.get_or_create(&labels).inc();
        route.latency.observe(took.as_secs_f64());
    }

    /// Counts looks into the record store by how long they took: for whoever looks.
    pub fn count_looks(&self) -> impl Fn(Duration) + Send + Sync + 'static {
        let latency = self.store_latency.clone();
        move |took| latency.observe(took.as_secs_f64())
    }

    /// Counts a question to a webhook.
    pub fn count_webhook(&self, took: Duration) {
        self.webhook_latency.observe(took.as_secs_f64());
    }

    /// Tells whether Redis counts rate limits: for whoever finds out.
    #[must_use]
    pub fn redis_up(&self) -> Gauge {
        self.redis_up.clone()
    }

    /// The metrics as text, of [`MEDIA_TYPE`].
    ///
    /// # Errors
    /// Never in practice: text is written to memory.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
