// From JSON to what the pages take. Tolerant: unknown members are ignored, and
// what is no stream is `null`, never half of one.

import type { Phase, Role, StreamInfo } from './types';

const PHASES: readonly string[] = ['waiting', 'live', 'reconnecting', 'ended'];
const ROLES: readonly string[] = ['host', 'speaker', 'viewer'];

/** A stream out of an answer or an event, `null` when it is none. */
export function decodeStream(value: unknown): StreamInfo | null {
  if (typeof value !== 'object' || value === null) return null;
  const raw = value as Record<string, unknown>;
  const streamId = text(raw.streamId);
  const epoch = text(raw.epoch);
  if (streamId === undefined || epoch === undefined || typeof raw.version !== 'number') return null;
  const status = raw.status === 'finished' ? 'finished' : 'active';
  return {
    streamId,
    title: text(raw.title),
    status,
    phase: phase(raw.phase, status),
    participantCount: count(raw.participantCount) ?? 0,
    peakParticipants: count(raw.peakParticipants),
    totalJoins: count(raw.totalJoins),
    startedAt: text(raw.startedAt) ?? '',
    endedAt: text(raw.endedAt),
    endReason: text(raw.endReason),
    phaseSince: text(raw.phaseSince),
    phaseUntil: text(raw.phaseUntil),
    defaultRole: ROLES.includes(raw.defaultRole as string) ? (raw.defaultRole as Role) : undefined,
    settingsTag: text(raw.settingsTag),
    epoch,
    version: raw.version,
  };
}

function phase(value: unknown, status: StreamInfo['status']): Phase {
  if (PHASES.includes(value as string)) return value as Phase;
  return status === 'finished' ? 'ended' : 'waiting';
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function count(value: unknown): number | undefined {
  return typeof value === 'number' && value >= 0 ? value : undefined;
}
