// What this page publishes: handed over by the preview, kept alive while the
// connection is lost, published again after it.

import { type LocalTrack, type LocalTrackPublication, type Room, RoomEvent, Track } from 'livekit-client';
import { recall } from '../lib/storage';
import { type CameraSize, captureSize } from './capture';

/** The local tracks of one room. */
export class LocalTracks {
  /** To be published at the next connection. */
  #waiting: LocalTrack[] = [];
  /** Unpublished in this turn. */
  #loose: LocalTrack[] = [];

  constructor(private readonly room: Room) {
    room.on(RoomEvent.LocalTrackUnpublished, (publication) => this.#unpublished(publication));
    room.on(RoomEvent.Disconnected, () => this.#disconnected());
  }

  /** Takes tracks to publish at the next connection. */
  adopt(tracks: LocalTrack[]): void {
    this.stop();
    this.#waiting = tracks;
  }

  /** Publishes what waits. Fails with the first error, after trying all. */
  async publishAll(): Promise<void> {
    const tracks = this.#waiting.filter((track) => track.mediaStreamTrack.readyState === 'live');
    this.#waiting = [];
    if (this.room.localParticipant.permissions?.canPublish === false) {
      for (const track of tracks) track.stop();
      return;
    }
    const results = await Promise.allSettled(
      tracks.map((track) => this.room.localParticipant.publishTrack(track, { source: track.source })),
    );
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  /** Switches one source. */
  async set(what: 'camera' | 'microphone' | 'screen', on: boolean): Promise<void> {
    const me = this.room.localParticipant;
    if (what === 'microphone') await me.setMicrophoneEnabled(on, this.#chosen('microphone'));
    else if (what === 'screen') await this.#setScreen(on);
    else {
      const resolution = captureSize(recall<CameraSize>('local', 'size') ?? 720);
      await me.setCameraEnabled(on, { resolution, ...this.#chosen('camera') });
    }
  }

  /** Switches everything off. */
  stop(): void {
    for (const track of this.#waiting) track.stop();
    this.#waiting = [];
    for (const publication of this.room.localParticipant.trackPublications.values())
      publication.track?.stop();
  }

  async #setScreen(on: boolean): Promise<void> {
    const me = this.room.localParticipant;
    const sources = [Track.Source.ScreenShare, Track.Source.ScreenShareAudio];
    const before = sources.flatMap((source) => me.getTrackPublication(source)?.track ?? []);
    await me.setScreenShareEnabled(on, { audio: true, selfBrowserSurface: 'exclude' });
    if (!on) for (const track of before) track.stop();
  }

  #chosen(device: 'camera' | 'microphone'): { deviceId?: string } {
    const deviceId = recall<string>('local', device);
    return deviceId === null ? {} : { deviceId };
  }

  /**
   * LiveKit unpublishes in several cases, and stops nothing by itself here. When it is about to
   * disconnect, it says so in the same turn: those tracks wait for the next connection. When we may
   * not publish any more, the device must not stay on. Otherwise it publishes them again itself.
   */
  #unpublished(publication: LocalTrackPublication): void {
    const { track } = publication;
    if (track === undefined) return;
    if (this.room.localParticipant.permissions?.canPublish === false) {
      track.stop();
      return;
    }
    this.#loose.push(track);
    queueMicrotask(() => {
      this.#loose = [];
    });
  }

  /** A muted track does not wait: it comes back when it is switched on. */
  #disconnected(): void {
    for (const track of this.#loose) {
      if (track.isMuted) track.stop();
      else this.#waiting.push(track);
    }
    this.#loose = [];
  }
}
