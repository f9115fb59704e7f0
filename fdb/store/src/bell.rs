//! Bells: watches of FoundationDB's.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use foundationdb::FdbError;

use crate::Fdb;

/// Resolves once its key was changed, or once its watch was lost: whoever hears it looks anyway. Dropping it ends the watch.
#[must_use = "a bell is heard by awaiting it"]
pub struct Bell {
    watch: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Future for Bell {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.watch.as_mut().poll(context)
    }
}

impl std::fmt::Debug for Bell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bell").finish_non_exhaustive()
    }
}

/// Arms a bell on a row. A cluster that does not answer is asked again, after a while that the client library chooses, until it does:
/// who waits for the bell looks by itself meanwhile.
pub(crate) async fn arm(store: Fdb, name: Vec<u8>) -> Bell {
    loop {
        match try_arm(&store, &name).await {
            Ok(bell) => return bell,
            Err(error) => {
                tracing::debug!(code = error.code(), reason = error.message(), "a watch cannot be set yet");
                rest(&store, error).await;
            }
        }
    }
}

async fn try_arm(store: &Fdb, name: &[u8]) -> Result<Bell, FdbError> {
    let transaction = store.begin()?;
    let watch = transaction.watch(name);
    transaction.commit().await.map_err(|error| FdbError::from_code(error.code()))?;
    let watch = Box::pin(async move {
        if let Err(error) = watch.await {
            tracing::debug!(code = error.code(), reason = error.message(), "a watch is lost");
        }
    });
    Ok(Bell { watch })
}

/// Waits as long as the client library thinks best after an error.
async fn rest(store: &Fdb, error: FdbError) {
    let Ok(transaction) = store.begin() else { return };
    // One that may be repeated is; any other is answered as if it might.
    if transaction.on_error(error).await.is_err()
        && let Ok(transaction) = store.begin()
    {
        let behind = FdbError::from_code(1037);
        drop(transaction.on_error(behind).await);
    }
}
