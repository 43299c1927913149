//! Looking at streams.

use domain::{Head, Identity, Phase, Session, StreamId, StreamView};
use store::{Concern, Cursor, HistoryQuery, ListQuery, Memo, MemoSwap, Page, PeoplePage, Totals};

use crate::{Orchestrator, UseCaseError};

impl Orchestrator {
    /// The head of a stream; `NotFound` also while it is only reserved.
    pub async fn get_stream(&self, id: &StreamId) -> Result<Head, UseCaseError> {
        let loaded = self.inner.store.load(id, Concern::default()).await?;
        loaded.head.filter(is_known).ok_or(UseCaseError::NotFound)
    }

    /// The visible state and the sorted people of a stream.
    pub async fn get_state(&self, id: &StreamId) -> Result<(StreamView, Vec<Identity>), UseCaseError> {
        let state = self.inner.store.load_state(id).await?;
        let (head, people) = state.filter(|(head, _)| is_known(head)).ok_or(UseCaseError::NotFound)?;
        Ok((StreamView::from(&head), people))
    }

    /// A page of streams, newest first.
    pub async fn list_streams(&self, query: &ListQuery) -> Result<Page<Head>, UseCaseError> {
        Ok(self.inner.store.list(query).await?)
    }

    /// A page of what is over, latest end first, as far back as history is kept. With `hidden` also what was not public.
    pub async fn list_history(
        &self,
        limit: usize,
        cursor: Option<Cursor>,
        hidden: bool,
    ) -> Result<Page<Session>, UseCaseError> {
        let since = self.now() - self.inner.rules.session;
        Ok(self.inner.store.history(&HistoryQuery { limit, cursor, hidden, since }).await?)
    }

    /// A page of the connections in a stream; empty for an unknown one.
    pub async fn list_people(
        &self,
        id: &StreamId,
        limit: usize,
        cursor: Option<&Cursor>,
    ) -> Result<PeoplePage, UseCaseError> {
        Ok(self.inner.store.people(id, limit, cursor).await?)
    }

    /// Writes or removes a small value that ends by itself; see [`store::Store::swap_memo`].
    pub async fn swap_memo(
        &self,
        key: &str,
        expected: Option<&[u8]>,
        memo: Option<&Memo>,
    ) -> Result<MemoSwap, UseCaseError> {
        Ok(self.inner.store.swap_memo(key, expected, memo).await?)
    }

    /// Sums over all active streams.
    pub async fn totals(&self) -> Result<Totals, UseCaseError> {
        Ok(self.inner.store.totals().await?)
    }
}

fn is_known(head: &Head) -> bool {
    head.phase != Phase::Reserved
}
