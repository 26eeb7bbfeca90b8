//! The web room: real sockets for the listener, the whole router for everything else.

mod config;
mod listen;

mod access;
mod api;
mod frame;
