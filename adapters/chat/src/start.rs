//! From the command line to a profile: which directory, which server, registered or not.

use std::path::PathBuf;

use doubletick_client::{Account, Client, Phone, Profile, Server};

use crate::{ChatArgs, Failure};

/// Where a server listens unless it is told otherwise.
const DEFAULT_SERVER: &str = "http://127.0.0.1:7410";

/// A profile before its client runs.
pub(crate) struct Start {
    pub(crate) profile: Profile,
    /// Who the device is, if it is registered.
    pub(crate) account: Option<Account>,
    /// The number to register, if the user has said it.
    pub(crate) phone: Option<Phone>,
    pub(crate) server: Server,
    /// What the device is called.
    pub(crate) name: String,
    pub(crate) code: Option<String>,
}

impl Start {
    pub(crate) fn new(args: &ChatArgs) -> Result<Self, Failure> {
        let phone = args.phone.as_deref().map(parse_phone).transpose()?;
        let directory = match (&args.profile, &phone) {
            (Some(directory), _) => directory.clone(),
            (None, Some(phone)) => data_directory()?.join("doubletick").join(phone.as_str()),
            (None, None) => return Err(Failure::Usage("say who you are with --phone, or where your profile is with --profile".into())),
        };
        // The address that the profile knows is in the profile.
        let server = |url: &str| match &args.ca {
            Some(ca) => Server::parse_with_ca(url, ca),
            None => Server::parse(url),
        };
        let usage = |error: doubletick_client::ServerError| Failure::Usage(error.to_string());
        let given = server(args.server.as_deref().unwrap_or(DEFAULT_SERVER)).map_err(usage)?;
        let profile = Profile::open(&directory, given.clone())?;
        let account = profile.account()?;
        let server = match (&args.server, &account) {
            (None, Some(account)) => server(&account.server).map_err(usage)?,
            (Some(_), _) | (None, None) => given,
        };
        if let (Some(phone), Some(account)) = (&phone, &account)
            && *phone != account.phone
        {
            return Err(Failure::Usage(format!("the profile {} belongs to {}, not to {phone}", directory.display(), account.phone)));
        }
        let profile = profile.with_server(server.clone());
        Ok(Self { profile, account, phone, server, name: args.name.clone(), code: args.code.clone() })
    }

    /// The client of a registered profile.
    pub(crate) fn start(self) -> Result<Client, Failure> {
        Ok(self.profile.start()?)
    }
}

pub(crate) fn parse_phone(text: &str) -> Result<Phone, Failure> {
    Phone::parse(text).ok_or_else(|| Failure::Usage(format!("{text:?} is no phone number in international form, such as +4915100000001")))
}

/// Where programs keep a user's data (XDG Base Directory Specification).
fn data_directory() -> Result<PathBuf, Failure> {
    let from = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    from("XDG_DATA_HOME")
        .or_else(|| from("HOME").map(|home| home.join(".local/share")))
        .ok_or_else(|| Failure::Usage("there is no home directory: say where your profile is with --profile".into()))
}
