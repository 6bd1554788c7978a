//! The surfaces of the service. `legacy` is the protocol of the callers in the field, `v1` the
//! one for everybody else.

mod legacy;
mod parameters;
mod site_form;
mod v1;
