//! What makes the document a reference: examples of every request and answer, every problem there can be, and
//! what LiveKit sends. All of it is data in the files beside; tests hold it against what the server does.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn, PathItem, PathsBuilder};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::AdditionalProperties;
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{Content, ObjectBuilder, OpenApi, Ref, RefOr, Response, Schema, Type};

use super::problems::PROBLEMS;

/// By operation: `request`, or a status.
const EXAMPLES: &str = include_str!("examples.json");
/// By event.
const WEBHOOKS: &str = include_str!("webhooks.json");
const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";

type Examples = BTreeMap<String, BTreeMap<String, Value>>;

#[derive(Deserialize)]
struct WebhookExample {
    summary: String,
    body: Value,
}

/// Adds everything that the route list does not say by itself.
pub(super) fn complete(mut document: OpenApi) -> OpenApi {
    close_bodies(&mut document);
    add_keys(&mut document);
    add_refusals(&mut document);
    add_problems(&mut document);
    add_examples(&mut document);
    add_webhooks(&mut document);
    document
}

fn examples() -> Examples {
    // A part of the program, which a test reads: it can't be broken here.
    serde_json::from_str(EXAMPLES).unwrap_or_default()
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut utoipa::openapi::path::Operation> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    [get, put, post, delete, patch].into_iter().flatten()
}

/// Bodies of requests: what nobody asked for is refused.
fn close_bodies(document: &mut OpenApi) {
    for (name, schema) in document.components.iter_mut().flat_map(|components| &mut components.schemas) {
        if let (true, RefOr::T(Schema::Object(object))) = (name.ends_with("Body"), schema) {
            object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
        }
    }
}

/// Every `POST` of a caller can be sent twice and done once.
fn add_keys(document: &mut OpenApi) {
    let described = "Names this request: sent again with the same key it is not done again for 24 hours (while a token \
        that it gives out is valid), but answered as before, with `Idempotency-Replayed: true`. What was refused is not kept.";
    let text = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(257));
    let key = ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .description(Some(described))
        .schema(Some(text.pattern(Some("^[!-~]+$"))))
        .build();
    let posts = document.paths.paths.iter_mut().filter(|(path, _)| *path != "/webhook");
    for post in posts.filter_map(|(_, item)| item.post.as_mut()) {
        post.parameters.get_or_insert_default().push(RefOr::T(key.clone()));
        for (status, name) in [("409", "Conflict"), ("422", "KeyReused"), ("503", "Unavailable")] {
            let responses = &mut post.responses.responses;
            responses.entry(status.to_owned()).or_insert_with(|| Ref::from_response_name(name).into());
        }
    }
}

/// What the layers around the routes answer, for all of them at once.
fn add_refusals(document: &mut OpenApi) {
    for (path, item) in &mut document.paths.paths {
        let watching = path.starts_with("/sse/");
        for operation in operations(item) {
            let responses = &mut operation.responses.responses;
            // Whoever may fail to prove itself may fail too often.
            if watching || responses.contains_key("401") {
                responses.entry("429".to_owned()).or_insert_with(|| Ref::from_response_name("TooMany").into());
            }
        }
    }
}

fn add_examples(document: &mut OpenApi) {
    let examples = examples();
    for operation in document.paths.paths.values_mut().flat_map(operations) {
        let Some(known) = operation.operation_id.as_ref().and_then(|id| examples.get(id)) else { continue };
        for (what, value) in known {
            let content = if what == "request" {
                match &mut operation.request_body {
                    Some(RefOr::T(body)) => body.content.get_mut(JSON),
                    _ => None,
                }
            } else {
                match operation.responses.responses.get_mut(what) {
                    Some(RefOr::T(response)) => response.content.values_mut().next(),
                    _ => None,
                }
            };
            if let Some(RefOr::T(content)) = content {
                content.example = Some(value.clone());
            }
        }
    }
}

/// Each shared answer names its problems, one example for each code; every operation may fail in ways that all share.
fn add_problems(document: &mut OpenApi) {
    let components = document.components.get_or_insert_default();
    for (name, codes) in PROBLEMS {
        if let Some(RefOr::T(response)) = components.responses.get_mut(*name)
            && let Some(RefOr::T(content)) = response.content.get_mut(PROBLEM)
        {
            content.examples = codes.iter().map(|problem| (problem.code.to_owned(), example(problem))).collect();
        }
    }
    for operation in document.paths.paths.values_mut().flat_map(operations) {
        let other = RefOr::Ref(Ref::from_response_name("Other"));
        operation.responses.responses.insert("default".to_owned(), other);
    }
}

fn example(problem: &super::problems::ProblemExample) -> RefOr<utoipa::openapi::example::Example> {
    let value = json!({
        "type": format!("urn:livestream:problem:{}", problem.code),
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "code": problem.code,
        "requestId": "7f3a9c21-2f",
        "error": problem.detail,
    });
    ExampleBuilder::new().summary(problem.when).value(Some(value)).build().into()
}

fn add_webhooks(document: &mut OpenApi) {
    let known: BTreeMap<String, WebhookExample> = serde_json::from_str(WEBHOOKS).unwrap_or_default();
    let mut paths = PathsBuilder::new();
    for (event, webhook) in known {
        let mut content = Content::new(Some(Ref::from_schema_name("LiveKitWebhook")));
        content.example = Some(webhook.body);
        let body = RequestBodyBuilder::new()
            .description(Some("LiveKit's WebhookEvent; more members than these may be there"))
            .content("application/webhook+json", content)
            .build();
        let reference = |name: &str| RefOr::<Response>::Ref(Ref::from_response_name(name));
        let operation = OperationBuilder::new()
            .tag("livekit")
            .operation_id(Some(format!("livekit_{event}")))
            .summary(Some(webhook.summary))
            .description(Some(
                "LiveKit sends it to `POST /webhook`, signed: a bare JWT in `Authorization` with the digest of the \
                 body. Sent again after a 5xx; an event that was applied already changes nothing.",
            ))
            .security(SecurityRequirement::new("livekit", Vec::<String>::new()))
            .request_body(Some(body))
            .response("200", Response::new("Taken, whether or not it changed something"))
            .response("401", reference("Unauthorized"))
            .response("503", reference("Unavailable"))
            .build();
        paths = paths.path(event, PathItem::new(HttpMethod::Post, operation));
    }
    document.webhooks = Some(paths.build());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_can_be_read_and_name_operations_that_exist() {
        let document = crate::openapi_document();
        let document: Value = serde_json::from_str(&document).unwrap();
        let known: Vec<_> = document["paths"]
            .as_object()
            .unwrap()
            .values()
            .flat_map(|path| path.as_object().unwrap().values())
            .filter_map(|operation| operation["operationId"].as_str())
            .collect();
        let examples: Examples = serde_json::from_str(EXAMPLES).unwrap();
        for (operation, parts) in &examples {
            assert!(known.contains(&operation.as_str()), "{operation}");
            assert!(!parts.is_empty(), "{operation}");
        }
        assert_eq!(serde_json::from_str::<BTreeMap<String, WebhookExample>>(WEBHOOKS).unwrap().len(), 7);
    }

    #[test]
    fn every_body_has_an_example() {
        let document: Value = serde_json::from_str(&crate::openapi_document()).unwrap();
        let mut lacking = Vec::new();
        for operation in
            document["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap().values())
        {
            let id = operation["operationId"].as_str().unwrap();
            let bodies = operation["responses"]
                .as_object()
                .unwrap()
                .iter()
                .map(|(status, response)| (status.as_str(), response));
            for (what, body) in bodies.chain([("request", &operation["requestBody"])]) {
                let contents = body["content"].as_object().into_iter().flat_map(|contents| contents.values());
                if contents.into_iter().any(|content| content.get("example").is_none()) {
                    lacking.push(format!("{id} {what}"));
                }
            }
        }
        // Its examples are the webhooks of the document.
        assert_eq!(lacking, ["receive_webhook request"]);
    }
}
