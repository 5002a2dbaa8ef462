//! `GET /openapi.json`: what the server answers, made from the handlers.

use std::sync::Arc;

use axum::Json;
use axum::http::{HeaderValue, header};
use axum::response::IntoResponse;
use axum::routing::get;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Components, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder};

use super::Routes;

/// What stands above the routes.
pub fn head() -> OpenApi {
    let info = InfoBuilder::new()
        .title("vylux-pack key server")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Hands out content keys to players that bring a valid token."))
        .license(Some(
            LicenseBuilder::new()
                .name("MIT OR Apache-2.0")
                .identifier(Some("MIT OR Apache-2.0"))
                .build(),
        ));
    let bearer = SecurityScheme::Http(
        HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("An HMAC token or a JWT that names the content."))
            .build(),
    );
    let mut components = Components::new();
    components.add_security_scheme("bearer", bearer);
    OpenApiBuilder::new()
        .info(info.build())
        .components(Some(components))
        .build()
}

/// Serves `document` beside the routes that it describes.
pub fn add(routes: &mut Routes, document: OpenApi) {
    let document = Arc::new(document);
    let answer = move || async move {
        let no_cache = (header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        ([no_cache], Json((*document).clone())).into_response()
    };
    routes.add("/openapi.json", get(answer));
}
