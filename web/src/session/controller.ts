// The connection to a stream: joins, publishes, comes back, leaves. The edge
// between LiveKit's client, the API and the pure reducers; components see its
// stores and its LiveKit room, and call its verbs.

import { ConnectionError, type LocalTrack, Room, RoomEvent } from 'livekit-client';
import { joinStream, leaveStream, lowerHand, raiseHand } from '../api/client';
import { ApiError } from '../api/error';
import type { JoinAnswer, Role } from '../api/types';
import type { StreamFeed } from '../feed/stream';
import { createStore, type Readable } from '../lib/store';
import { wait } from '../lib/wait';
import type { MediaFacts } from '../view/room';
import { roleOf } from './attributes';
import { quietLiveKit, ROOM_OPTIONS } from './capture';
import { ChatWire } from './chat-wire';
import { causeOf } from './disconnect';
import { claimIdentity, keepPlace, recallPlace } from './identity';
import { LocalTracks } from './local-tracks';
import { type Notices as NoticeList, noNotices, reduceNotices } from './notices';
import {
  afterDisconnect,
  answerOf,
  comeBackDelay,
  type Gone,
  type Me,
  meOf,
  outside,
  type Refusal,
  reduceSession,
  refusalOf,
  type SessionState,
} from './state';
import { watchRoom } from './watch';

/** What is to be switched on in the room. */
export interface Sending {
  camera: boolean;
  microphone: boolean;
}

const NOTHING: Sending = { camera: false, microphone: false };

/** Our connection to one stream. `close` ends it when the page goes. */
export class RoomSession {
  /** LiveKit's room; the same object through every reconnection. */
  readonly room = new Room(ROOM_OPTIONS);
  readonly #state = createStore(reduceSession, outside);
  readonly #media = createStore((_: MediaFacts, next: MediaFacts) => next, { published: 0, since: 0 });
  readonly #notices = createStore(reduceNotices, noNotices);
  readonly #local = new LocalTracks(this.room);
  /** Chat and reactions. */
  readonly chat = new ChatWire(this.room);
  /** To be switched on at the next connection. */
  #sending: Sending = NOTHING;
  /** Aborted when what is under way is no longer wanted. */
  #running = new AbortController();
  readonly #stop: (() => void)[];

  constructor(
    readonly streamId: string,
    private readonly feed: Readable<StreamFeed>,
  ) {
    quietLiveKit();
    this.#stop = [
      feed.subscribe(() => this.#streamChanged()),
      watchRoom(this.room, {
        published: (published) => this.#media.dispatch({ published, since: Date.now() }),
        say: (text) => this.say(text),
        role: () => this.#roleChanged(),
      }),
    ];
    this.room
      .on(RoomEvent.Reconnecting, () => this.#state.dispatch({ type: 'resuming', now: Date.now() }))
      .on(RoomEvent.Reconnected, () => this.#state.dispatch({ type: 'resumed' }))
      .on(RoomEvent.Disconnected, (reason) => this.#disconnected(causeOf(reason)))
      .on(RoomEvent.LocalTrackPublished, () => this.#remember())
      .on(RoomEvent.LocalTrackUnpublished, () => this.#remember())
      .on(RoomEvent.TrackMuted, () => this.#remember())
      .on(RoomEvent.TrackUnmuted, () => this.#remember());
  }

  /** Our place in the stream. */
  get state(): Readable<SessionState> {
    return this.#state;
  }

  /** What is published. */
  get media(): Readable<MediaFacts> {
    return this.#media;
  }

  /** Short messages for the screen. */
  get notices(): Readable<NoticeList> {
    return this.#notices;
  }

  /**
   * Joins as `me`, publishes `tracks` and switches on what `sending` names. `token` is that of an
   * earlier join under the same identity.
   */
  async join(
    me: Me,
    token: string | null,
    tracks: LocalTrack[] = [],
    sending: Sending = NOTHING,
  ): Promise<void> {
    const signal = this.#begin();
    this.#local.adopt(tracks);
    this.#sending = sending;
    this.#state.dispatch({ type: 'join', now: Date.now(), me });
    try {
      const answer = await this.#ask(me, token, signal);
      await this.#connect(answer, signal);
    } catch (error) {
      if (signal.aborted) return;
      this.#local.stop();
      this.#state.dispatch({ type: 'refused', refusal: refusalFor(error) });
    }
  }

  /**
   * Comes back after a reload, or after "lost": the same person, the earlier token as proof, and
   * what was being sent is sent again.
   */
  async comeBack(me: Me, token: string | null, sending: Sending): Promise<void> {
    const signal = this.#begin();
    this.#sending = sending;
    this.#state.dispatch({ type: 'come-back', now: Date.now(), me });
    if (await claimIdentity(me.identity)) return this.#rejoin(token, signal);
    // A duplicate of a tab that is still there: it may join as somebody else.
    if (!signal.aborted) this.reset();
  }

  /** Leaves for good. */
  async leave(): Promise<void> {
    const answer = answerOf(this.#state.get());
    const silent = this.#state.get().at !== 'in';
    this.#gone('left');
    if (answer !== null && silent) {
      await leaveStream(this.streamId, answer.identity, answer.token).catch(() => undefined);
    }
  }

  /** Back to the beginning, after having been gone. */
  reset(): void {
    this.#begin();
    this.#state.dispatch({ type: 'reset' });
  }

  /** Switches camera or microphone; the answer says whether it worked. */
  async publish(what: 'camera' | 'microphone' | 'screen', on: boolean): Promise<void> {
    await this.#local.set(what, on);
    this.#remember();
  }

  /** Raises or lowers our hand. */
  async hand(up: boolean): Promise<void> {
    const answer = answerOf(this.#state.get());
    if (answer === null) return;
    await (up ? raiseHand : lowerHand)(this.streamId, answer.identity, answer.token);
  }

  /** Puts a short message on the screen. */
  say(text: string): void {
    this.#notices.dispatch({ type: 'say', text, now: Date.now() });
  }

  /** Takes old messages and reactions off the screen. */
  sweep(): void {
    this.#notices.dispatch({ type: 'sweep', now: Date.now() });
    this.chat.sweep();
  }

  /** Ends everything; the tab still knows its place, for a reload. */
  close(): void {
    for (const stop of this.#stop) stop();
    this.#running.abort();
    this.#local.stop();
    void this.room.disconnect();
  }

  /** Ends with the page. A page that the browser brings back from its cache starts anew. */
  closeWithPage(): void {
    window.addEventListener('pagehide', () => this.close());
    window.addEventListener('pageshow', (event) => {
      if (event.persisted) window.location.reload();
    });
  }

  #begin(): AbortSignal {
    this.#running.abort();
    this.#running = new AbortController();
    return this.#running.signal;
  }

  /** Asks for a token. A key that does not allow the role any more does not keep us out: the server decides then. */
  async #ask(me: Me, token: string | null, signal: AbortSignal): Promise<JoinAnswer> {
    const wish = { userId: me.identity, name: me.name, token };
    try {
      return await joinStream(this.streamId, { ...wish, role: me.role }, signal);
    } catch (error) {
      const denied =
        error instanceof ApiError && (error.kind === 'unauthorized' || error.kind === 'forbidden');
      if (token === null || !denied || error.code.includes('full')) throw error;
      return joinStream(this.streamId, { ...wish, role: null }, signal);
    }
  }

  async #connect(answer: JoinAnswer, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    await this.room.connect(answer.url, answer.token);
    if (signal.aborted) return void this.room.disconnect();
    this.#state.dispatch({ type: 'connected', answer });
    this.#remember();
    const sending = this.#sending;
    this.#sending = NOTHING;
    const started = [this.#local.publishAll()];
    if (answer.role !== 'viewer' && sending.camera) started.push(this.#local.set('camera', true));
    if (answer.role !== 'viewer' && sending.microphone) started.push(this.#local.set('microphone', true));
    await Promise.all(started).catch(() =>
      this.say('Camera or microphone could not be sent. Switch it on again.'),
    );
  }

  #disconnected(cause: ReturnType<typeof causeOf>): void {
    const { at } = this.#state.get();
    if (at !== 'in' && at !== 'resuming') return;
    const next = afterDisconnect(cause, this.feed.get().info?.phase === 'ended');
    if (next !== 'rejoin') {
      this.#gone(next);
      return;
    }
    const signal = this.#begin();
    this.#state.dispatch({ type: 'rejoin', now: Date.now(), attempt: 0 });
    void this.#rejoin(answerOf(this.#state.get())?.token ?? null, signal);
  }

  /** Tries to come back until it works, is refused for good, or the time is over. */
  async #rejoin(token: string | null, signal: AbortSignal): Promise<void> {
    for (let attempt = 0; !signal.aborted; attempt += 1) {
      const state = this.#state.get();
      if (state.at !== 'rejoining') return;
      const delay = comeBackDelay(attempt, Date.now() - state.since, Math.random());
      if (delay === null) return this.#gone('lost');
      await wait(delay, signal);
      if (signal.aborted) return;
      this.#state.dispatch({ type: 'rejoin', now: Date.now(), attempt: attempt + 1 });
      try {
        return await this.#connect(await this.#ask(state.me, token, signal), signal);
      } catch (error) {
        if (signal.aborted) return;
        const refusal = refusalFor(error);
        if (refusal === 'ended' || refusal === 'missing') return this.#gone('ended');
        if (refusal === 'passing' || refusal === 'media') continue;
        return this.#keptOut(refusal);
      }
    }
  }

  #keptOut(refusal: Refusal): void {
    if (refusal === 'banned') this.#stayOutside();
    else this.#forget();
    this.#state.dispatch({ type: 'refused', refusal });
  }

  #gone(why: Gone): void {
    this.#begin();
    this.#state.dispatch({ type: 'gone', why, startedAt: this.feed.get().info?.startedAt ?? null });
    this.#local.stop();
    if (why === 'removed') this.#stayOutside();
    else this.#forget();
    void this.room.disconnect();
  }

  /** The server's word that it is over counts at once, before the media server has closed the room. */
  #streamChanged(): void {
    const { at } = this.#state.get();
    if (at === 'out' || at === 'gone') return;
    if (this.feed.get().info?.phase === 'ended') this.#gone('ended');
  }

  #roleChanged(): void {
    if (this.#state.get().at !== 'in') return;
    const role: Role = roleOf(this.room.localParticipant);
    const before = meOf(this.#state.get())?.role;
    if (role === before) return;
    this.#state.dispatch({ type: 'role', role });
    this.#remember();
    this.say(
      role === 'viewer' ? 'You are watching now.' : 'You may speak now: switch on your microphone or camera.',
    );
  }

  #remember(): void {
    const state = this.#state.get();
    if (state.at !== 'in') return;
    const { isCameraEnabled, isMicrophoneEnabled } = this.room.localParticipant;
    const { token } = state.answer;
    keepPlace(this.streamId, {
      ...state.me,
      token,
      inside: true,
      camera: isCameraEnabled,
      microphone: isMicrophoneEnabled,
    });
  }

  /** Whoever was put out is the same person when they try again: a new identity would get around a ban. */
  #stayOutside(): void {
    const place = recallPlace(this.streamId);
    if (place === null) return;
    keepPlace(this.streamId, { ...place, inside: false, camera: false, microphone: false });
  }

  #forget(): void {
    keepPlace(this.streamId, null);
  }
}

function refusalFor(error: unknown): Refusal {
  if (error instanceof ApiError) return refusalOf(error.kind, error.code);
  return error instanceof ConnectionError ? 'media' : 'failed';
}
