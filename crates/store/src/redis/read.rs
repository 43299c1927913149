//! Reads: one round trip each, of one moment each.

use domain::{Ban, Head, Identity, Participant, ParticipantSid, StreamId, Tombstone};
use redis::{Value, from_redis_value};
use serde::de::DeserializeOwned;

use crate::list::MAX_LIMIT;
use crate::{Concern, Cursor, Loaded, Page, Partition, PeoplePage, StoreError};

use super::RedisStore;
use super::errors::{failed, undecodable};
use super::layout::{Member, sid_field};
use super::script::call;

impl RedisStore {
    pub(super) async fn read_stream(&self, id: &StreamId, concern: Concern<'_>) -> Result<Loaded, StoreError> {
        const OPERATION: &str = "load";
        let layout = &self.layout;
        let head = layout.of_stream("head", id);
        let keys = [
            head.clone(),
            layout.of_stream("tombstone", id),
            layout.of_stream("people", id),
            layout.of_stream("gone", id),
            layout.of_stream("order", id),
            // A key that is not asked for must still be of the slot.
            concern.event.map_or(head, |event| layout.event(id, event)),
            layout.of_stream("grants", id),
            layout.of_stream("bans", id),
        ];
        let mut cmd = call(&self.scripts.load, &keys);
        let (low, high) = concern.identity.map(Member::range).unwrap_or_default();
        cmd.arg(concern.sid.map(sid_field).unwrap_or_default()).arg(low).arg(high);
        cmd.arg(concern.identity.map(Identity::as_str).unwrap_or_default());
        let answers = self.link.script(OPERATION, &self.scripts.load, cmd).await?;
        let loaded = self.read_facts(OPERATION, answers, concern)?;
        if concern.event.is_some() {
            // Whoever handles an event of it handles more of them.
            self.beliefs.learn(id, &loaded);
        }
        Ok(loaded)
    }

    /// What `scripts/facts.lua` gives.
    pub(super) fn read_facts(
        &self,
        operation: &'static str,
        answers: Vec<Value>,
        concern: Concern<'_>,
    ) -> Result<Loaded, StoreError> {
        let mut answers = Answers::new(operation, answers);
        let head: Option<Head> = answers.json("head")?;
        let tombstone: Option<Tombstone> = answers.json("tombstone")?;
        let participant = answers.json("participant")?;
        let gone: Option<f64> = answers.next()?;
        let connections = members(operation, answers.next()?)?;
        let known: bool = answers.next()?;
        let granted = answers.json("granted role")?;
        let ban = answers.json("ban")?;
        let (grants, bans) = (answers.next()?, answers.next()?);
        Ok(Loaded {
            granted: granted.filter(|_| head.is_some()),
            ban,
            grants,
            bans,
            tombstone: tombstone.filter(|_| head.is_none()),
            head,
            participant,
            sid_gone: gone.is_some_and(|until| self.is_ahead(until)),
            identity_sids: connections.into_iter().filter(|m| m.person).map(|m| m.sid).collect(),
            event_known: known && concern.event.is_some(),
        })
    }

    pub(super) async fn read_heads(
        &self,
        operation: &'static str,
        ids: &[StreamId],
    ) -> Result<Vec<Option<Head>>, StoreError> {
        let read = |id| {
            let mut cmd = redis::cmd("HGET");
            cmd.arg(self.layout.of_stream("head", id)).arg("head");
            (Partition::of(id), cmd)
        };
        let heads: Vec<Option<Vec<u8>>> = self.link.batch(operation, None, ids.iter().map(read).collect()).await?;
        heads.iter().map(|json| json.as_deref().map(|json| decode(operation, "head", json)).transpose()).collect()
    }

    pub(super) async fn read_full(&self, id: &StreamId) -> Result<Option<(Head, Vec<Participant>)>, StoreError> {
        const OPERATION: &str = "load_full";
        let Some((mut answers, head)) = self.read_whole(OPERATION, id, "people", &["HVALS"]).await? else {
            return Ok(None);
        };
        let values: Vec<Vec<u8>> = answers.next()?;
        let mut people: Vec<Participant> =
            values.iter().map(|json| decode(OPERATION, "participant", json)).collect::<Result<_, _>>()?;
        people.sort_by(|a, b| (&a.identity, &a.sid).cmp(&(&b.identity, &b.sid)));
        Ok(Some((head, people)))
    }

    pub(super) async fn read_state(&self, id: &StreamId) -> Result<Option<(Head, Vec<Identity>)>, StoreError> {
        const OPERATION: &str = "load_state";
        let whole = self.read_whole(OPERATION, id, "order", &["ZRANGE", "0", "-1"]).await?;
        let Some((mut answers, head)) = whole else { return Ok(None) };
        let members = members(OPERATION, answers.next()?)?;
        let mut identities: Vec<Identity> = members.into_iter().filter(|m| m.person).map(|m| m.identity).collect();
        identities.dedup();
        Ok(Some((head, identities)))
    }

    pub(super) async fn read_people(
        &self,
        id: &StreamId,
        limit: usize,
        cursor: Option<&Cursor>,
    ) -> Result<PeoplePage, StoreError> {
        const OPERATION: &str = "people";
        let limit = limit.clamp(1, MAX_LIMIT);
        let bound = match cursor.map(Cursor::connection) {
            None => "-".to_owned(),
            Some(Some((identity, sid))) => Member::after(&identity, &sid),
            // It is not one of ours: nothing is after it.
            Some(None) => return Ok(Page { items: Vec::new(), next: None }),
        };
        let keys = [self.layout.of_stream("order", id), self.layout.of_stream("people", id)];
        let mut cmd = call(&self.scripts.people, &keys);
        cmd.arg(bound).arg(limit + 1);
        let values: Vec<Option<Vec<u8>>> = self.link.script(OPERATION, &self.scripts.people, cmd).await?;
        let more = values.len() > limit;
        let items: Vec<Participant> = values
            .iter()
            .take(limit)
            .flatten()
            .map(|json| decode(OPERATION, "participant", json))
            .collect::<Result<_, _>>()?;
        let next = items.last().filter(|_| more).map(|last| Cursor::after(&last.identity, &last.sid));
        Ok(Page { items, next })
    }

    pub(super) async fn read_gone(
        &self,
        id: &StreamId,
        sids: &[ParticipantSid],
    ) -> Result<Vec<ParticipantSid>, StoreError> {
        if sids.is_empty() {
            return Ok(Vec::new());
        }
        let mut cmd = redis::cmd("ZMSCORE");
        cmd.arg(self.layout.of_stream("gone", id));
        for sid in sids {
            cmd.arg(sid_field(sid));
        }
        let scores: Vec<Option<f64>> = self.link.command("gone", cmd).await?;
        let gone = sids.iter().zip(scores).filter(|(_, until)| until.is_some_and(|until| self.is_ahead(until)));
        Ok(gone.map(|(sid, _)| sid.clone()).collect())
    }

    pub(super) async fn read_bans(&self, id: &StreamId) -> Result<Vec<(Identity, Ban)>, StoreError> {
        const OPERATION: &str = "bans";
        let mut cmd = redis::cmd("HGETALL");
        cmd.arg(self.layout.of_stream("bans", id));
        let rows: Vec<(String, Vec<u8>)> = self.link.command(OPERATION, cmd).await?;
        let decoded = rows.iter().map(|(who, json)| Ok((Identity::reported(who), decode(OPERATION, "ban", json)?)));
        let mut bans: Vec<(Identity, Ban)> = decoded.collect::<Result<_, StoreError>>()?;
        bans.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(bans)
    }

    /// The head and what `command` gives of another key of the stream.
    async fn read_whole(
        &self,
        operation: &'static str,
        id: &StreamId,
        key: &str,
        command: &[&str],
    ) -> Result<Option<(Answers, Head)>, StoreError> {
        let keys = [self.layout.of_stream("head", id), self.layout.of_stream(key, id)];
        let mut cmd = call(&self.scripts.whole, &keys);
        cmd.arg(command);
        let values: Option<Vec<Value>> = self.link.script(operation, &self.scripts.whole, cmd).await?;
        let Some(values) = values else { return Ok(None) };
        let mut answers = Answers::new(operation, values);
        let head = answers.json("head")?;
        Ok(head.map(|head| (answers, head)))
    }

    /// Whether a time stored as a score has not come yet.
    fn is_ahead(&self, until: f64) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of any date fit")]
        let now = self.clock.now().as_millis() as f64;
        until > now
    }
}

/// The answers of a pipeline, taken one after the other.
struct Answers {
    operation: &'static str,
    values: std::vec::IntoIter<Value>,
}

impl Answers {
    fn new(operation: &'static str, values: Vec<Value>) -> Self {
        Self { operation, values: values.into_iter() }
    }

    fn next<T: redis::FromRedisValue>(&mut self) -> Result<T, StoreError> {
        let value = self.values.next().unwrap_or(Value::Nil);
        from_redis_value(value).map_err(|error| failed(self.operation, error.into()))
    }

    fn json<T: DeserializeOwned>(&mut self, what: &str) -> Result<Option<T>, StoreError> {
        let json: Option<Vec<u8>> = self.next()?;
        json.map(|json| decode(self.operation, what, &json)).transpose()
    }
}

fn members(operation: &'static str, texts: Vec<String>) -> Result<Vec<Member>, StoreError> {
    let parse = |text: &String| Member::parse(text).ok_or_else(|| undecodable(operation, "order member", text));
    texts.iter().map(parse).collect()
}

pub(super) fn decode<T: DeserializeOwned>(operation: &'static str, what: &str, json: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(json).map_err(|error| undecodable(operation, what, error))
}
