//! What stands in paths and bodies, for the OpenAPI document. The types that read it are elsewhere; a run of a program that
//! reads the document, in the tests, finds where the two differ.

use utoipa::ToSchema;

/// A content ID.
#[derive(ToSchema)]
#[schema(value_type = String, pattern = "^(?!leases$)[A-Za-z0-9_-]{1,256}$", example = "movie-1")]
pub struct ContentId(#[expect(dead_code, reason = "a schema")] String);

/// A key ID: 32 hexadecimal digits, or a UUID.
#[derive(ToSchema)]
#[schema(
    value_type = String,
    pattern = "^([0-9A-Fa-f]{32}|[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})$",
    example = "a53429eefffa8de7d7b1086fb0697212"
)]
pub struct Kid(#[expect(dead_code, reason = "a schema")] String);

/// A key ID in base64url.
#[derive(ToSchema)]
#[schema(value_type = String, pattern = "^[A-Za-z0-9_-]{21}[AQgw]$", example = "pTQp7v_6jefXsQhvsGlyEg")]
pub struct KidBase64Url(#[expect(dead_code, reason = "a schema")] String);

/// A key's name.
#[derive(ToSchema)]
#[schema(value_type = String, pattern = "^[a-z0-9_-]{1,64}$", example = "7")]
pub struct KeyName(#[expect(dead_code, reason = "a schema")] String);

/// The 16 bytes of a content key.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary, min_length = 16, max_length = 16)]
pub struct KeyBytes(#[expect(dead_code, reason = "a schema")] Vec<u8>);
