//! The surfaces of the service. `legacy` is the protocol of the callers in the field.

mod legacy;
mod parameters;
mod site_form;
