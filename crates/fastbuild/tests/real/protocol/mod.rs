//! Both HTTP protocols as callers use them.

mod browser;
mod contract;
mod lists;
mod v1;
mod v1_resources;
