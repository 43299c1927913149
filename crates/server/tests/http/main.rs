//! The HTTP edge, in process: the router over the embedded store and a
//! simulated LiveKit. `classic_*` is one test per line of the classic API,
//! `classic_defect_*` one per known defect of it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod access;
mod admission;
mod app;
mod attacks;
mod caps;
mod classic;
mod defects;
mod edge;
mod events;
mod fuzz;
mod idempotency;
mod limits;
mod moderate;
mod openapi;
mod pages;
mod serving;
mod streams;
