//! How verification codes reach a phone.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;

use doubletick_core::id::Phone;

/// Sends short messages.
pub trait SmsSender: Send + Sync + 'static {
    /// Sends a text to a number. It need not wait until the text has arrived.
    fn send<'a>(&'a self, phone: &'a Phone, text: &'a str) -> Pin<Box<dyn Future<Output = Result<(), SmsError>> + Send + 'a>>;
}

/// The text could not be sent, and may be tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmsError(
    /// What is wrong, for the operator.
    pub String,
);

/// Writes the texts to the log, where whoever runs the server for themselves reads them.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogSms;

impl SmsSender for LogSms {
    fn send<'a>(&'a self, phone: &'a Phone, text: &'a str) -> Pin<Box<dyn Future<Output = Result<(), SmsError>> + Send + 'a>> {
        tracing::info!("SMS to {}: {text}", phone.as_str());
        Box::pin(std::future::ready(Ok(())))
    }
}

impl fmt::Display for SmsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for SmsError {}
