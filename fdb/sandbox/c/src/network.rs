//! The API version, the network, and errors.

use std::ffi::{c_char, c_int, c_void};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use doubletick_fdb_sandbox::client::{Client, set_network_option};
use doubletick_fdb_sandbox::{Error, Predicate};

use crate::handles::{Bool, Code, Parameter, code};

const OLDEST_API_VERSION: c_int = 630;
const NEWEST_API_VERSION: c_int = 740;

/// A function of the caller's that is run as the network ends.
type Hook = (extern "C" fn(*mut c_void), Parameter);

/// What has been set up so far.
#[derive(Default)]
struct Setup {
    api_version: c_int,
    network: Progress,
    hooks: Vec<Hook>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Progress {
    #[default]
    Untouched,
    SetUp,
    Run,
}

static SETUP: OnceLock<Mutex<Setup>> = OnceLock::new();
static CLIENT: OnceLock<Client> = OnceLock::new();

/// The process's client.
pub(crate) fn client() -> &'static Client {
    CLIENT.get_or_init(Client::new)
}

/// The client, once the network has been set up.
pub(crate) fn ready_client() -> Result<&'static Client, Error> {
    if setup().network == Progress::Untouched { Err(Error::NETWORK_NOT_SETUP) } else { Ok(client()) }
}

fn setup() -> MutexGuard<'static, Setup> {
    SETUP.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

#[unsafe(no_mangle)]
extern "C" fn fdb_select_api_version_impl(runtime: c_int, header: c_int) -> Code {
    let mut setup = setup();
    code(if setup.api_version != 0 {
        Err(Error::API_VERSION_ALREADY_SET)
    } else if runtime > header {
        Err(Error::API_VERSION_INVALID)
    } else if header > NEWEST_API_VERSION || runtime < OLDEST_API_VERSION {
        Err(Error::API_VERSION_NOT_SUPPORTED)
    } else {
        setup.api_version = runtime;
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn fdb_get_max_api_version() -> c_int {
    NEWEST_API_VERSION
}

#[unsafe(no_mangle)]
extern "C" fn fdb_get_client_version() -> *const c_char {
    // Version, source, protocol: the form that clients take apart.
    c"7.4.0,sandbox,fdb00b074000000".as_ptr()
}

#[unsafe(no_mangle)]
extern "C" fn fdb_get_error(error: Code) -> *const c_char {
    Error::from_code(error).map_or(c"Success", Error::text).as_ptr()
}

#[unsafe(no_mangle)]
extern "C" fn fdb_error_predicate(predicate: c_int, error: Code) -> Bool {
    let predicate = match predicate {
        50_000 => Predicate::Retryable,
        50_001 => Predicate::MaybeCommitted,
        50_002 => Predicate::RetryableNotCommitted,
        _ => return 0,
    };
    Error::from_code(error).is_some_and(|error| error.is(predicate)).into()
}

#[unsafe(no_mangle)]
extern "C" fn fdb_network_set_option(option: c_int, _value: *const u8, _length: c_int) -> Code {
    let version = setup().api_version;
    code(if version == 0 { Err(Error::API_VERSION_UNSET) } else { set_network_option(option) })
}

#[unsafe(no_mangle)]
extern "C" fn fdb_setup_network() -> Code {
    let mut setup = setup();
    code(if setup.api_version == 0 {
        Err(Error::API_VERSION_UNSET)
    } else if setup.network != Progress::Untouched {
        Err(Error::NETWORK_ALREADY_SETUP)
    } else {
        setup.network = Progress::SetUp;
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn fdb_run_network() -> Code {
    let mut state = setup();
    match state.network {
        Progress::Untouched => return code(Err(Error::NETWORK_NOT_SETUP)),
        Progress::Run => return code(Err(Error::NETWORK_CANNOT_BE_RESTARTED)),
        Progress::SetUp => state.network = Progress::Run,
    }
    drop(state);
    client().network().run();
    let hooks = std::mem::take(&mut setup().hooks);
    hooks.into_iter().for_each(|(hook, parameter)| hook(parameter.pointer()));
    0
}

#[unsafe(no_mangle)]
extern "C" fn fdb_stop_network() -> Code {
    code(ready_client().map(|client| client.network().stop()))
}

#[unsafe(no_mangle)]
extern "C" fn fdb_add_network_thread_completion_hook(hook: Option<extern "C" fn(*mut c_void)>, parameter: *mut c_void) -> Code {
    let Some(hook) = hook else { return code(Err(Error::CLIENT_INVALID_OPERATION)) };
    setup().hooks.push((hook, Parameter(parameter)));
    0
}
