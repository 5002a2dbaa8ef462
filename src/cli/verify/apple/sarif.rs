//! The report as SARIF 2.1.0, which code hosts show beside the lines it speaks of.

use serde_json::{Value, json};
use vylux_pack::verify::apple::{Report, Verdict};

/// Where the rules are.
const SPECIFICATION: &str =
    "https://developer.apple.com/documentation/http-live-streaming/hls-authoring-specification-for-apple-devices";

/// A log with one run: all rules, and one result for each place.
pub fn log(report: &Report) -> Value {
    let rules: Vec<Value> = report
        .rules
        .iter()
        .map(|rule| json!({ "id": rule.id, "shortDescription": { "text": rule.statement } }))
        .collect();
    let results: Vec<Value> = report
        .rules
        .iter()
        .enumerate()
        .flat_map(|(index, rule)| {
            let level = if rule.verdict == Verdict::Fail {
                "error"
            } else {
                "warning"
            };
            rule.places.iter().map(move |place| {
                let uri = place.file.to_string_lossy().replace('\\', "/");
                json!({
                    "ruleId": rule.id,
                    "ruleIndex": index,
                    "level": level,
                    "message": { "text": format!("{}; {}", place.found, place.action) },
                    "locations": [{
                        "physicalLocation": {
                            "artifactLocation": { "uri": uri, "uriBaseId": "PRESENTATION" },
                            "region": { "startLine": place.line.unwrap_or(1) },
                        },
                    }],
                })
            })
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": env!("CARGO_PKG_NAME"),
                "version": env!("CARGO_PKG_VERSION"),
                "informationUri": SPECIFICATION,
                "rules": rules,
            } },
            "results": results,
        }],
    })
}
