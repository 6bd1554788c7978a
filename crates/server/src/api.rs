//! The surfaces of the service. `legacy` is the protocol of the callers in the field, `v1` the
//! one for everybody else.

mod build_query;
mod legacy;
mod parameters;
mod pieces;
mod site_form;
mod v1;
