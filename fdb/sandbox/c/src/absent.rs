//! What FoundationDB offers and the sandbox does not: each function answers with an error.
//!
//! The arguments are not named. In the C calling conventions of the machines that FoundationDB runs on it is the caller that cleans them up.

use doubletick_fdb_sandbox::Error;
use doubletick_fdb_sandbox::client::Future;

use crate::future::{self, FdbFuture};
use crate::handles::{Code, code};
use crate::network::client;

/// Functions that give an error code.
macro_rules! refuse {
    ($($name:ident)*) => {
        $(
            #[unsafe(no_mangle)]
            extern "C" fn $name() -> Code {
                code(Err(Error::UNSUPPORTED_OPERATION))
            }
        )*
    };
}

/// Functions that give a future, or a result that is read like one.
macro_rules! refuse_later {
    ($($name:ident)*) => {
        $(
            #[unsafe(no_mangle)]
            extern "C" fn $name() -> *mut FdbFuture {
                future::new(Future::of(client().network(), Err(Error::UNSUPPORTED_OPERATION)))
            }
        )*
    };
}

refuse! {
    fdb_database_open_tenant
    fdb_tenant_create_transaction
    fdb_future_get_bool
    fdb_future_get_granule_summary_array
    fdb_future_get_keyrange_array
    fdb_future_get_mappedkeyvalue_array
    fdb_future_readbg_get_descriptions
    fdb_result_get_bg_mutations_array
    fdb_result_get_keyvalue_array
}

refuse_later! {
    fdb_database_blobbify_range
    fdb_database_blobbify_range_blocking
    fdb_database_create_snapshot
    fdb_database_flush_blob_range
    fdb_database_force_recovery_with_data_loss
    fdb_database_list_blobbified_ranges
    fdb_database_purge_blob_granules
    fdb_database_reboot_worker
    fdb_database_unblobbify_range
    fdb_database_verify_blob_range
    fdb_database_wait_purge_granules_complete
    fdb_readbg_parse_delta_file
    fdb_readbg_parse_snapshot_file
    fdb_tenant_blobbify_range
    fdb_tenant_blobbify_range_blocking
    fdb_tenant_flush_blob_range
    fdb_tenant_get_id
    fdb_tenant_list_blobbified_ranges
    fdb_tenant_purge_blob_granules
    fdb_tenant_unblobbify_range
    fdb_tenant_verify_blob_range
    fdb_tenant_wait_purge_granules_complete
    fdb_transaction_get_blob_granule_ranges
    fdb_transaction_get_mapped_range
    fdb_transaction_read_blob_granules
    fdb_transaction_read_blob_granules_description
    fdb_transaction_summarize_blob_granules
}

/// There are no tenants that could be destroyed.
#[unsafe(no_mangle)]
extern "C" fn fdb_tenant_destroy() {}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_result_destroy(result: *mut FdbFuture) {
    // SAFETY: the only results that there are come from the functions above; the handle is good, and this is its end.
    drop(unsafe { crate::handles::drop_handle(result) });
}
