// Reactions on their way up.

import { useStore } from '../lib/store';
import type { ReactionKind } from '../session/chat';
import { Icon, type IconName } from '../ui/Icon';
import { usePage } from './context';

/** The icon of a reaction. */
export const REACTION_ICONS: Record<ReactionKind, IconName> = {
  heart: 'heart',
  clap: 'clap',
  laugh: 'laugh',
  wow: 'wow',
  up: 'up',
};

/** What a reaction is called. */
export const REACTION_NAMES: Record<ReactionKind, string> = {
  heart: 'Heart',
  clap: 'Applause',
  laugh: 'Laughing',
  wow: 'Wow',
  up: 'Thumbs up',
};

/** All that float now. */
export function Reactions() {
  const { session } = usePage();
  const { reactions } = useStore(session.chat.state);
  return (
    <div className="reactions" aria-hidden="true">
      {reactions.map((reaction) => (
        <span
          key={reaction.id}
          className={`reaction reaction-${reaction.kind}`}
          style={{ right: `${(2 + reaction.lane * 16).toFixed(1)}%` }}
        >
          <Icon name={REACTION_ICONS[reaction.kind]} filled={reaction.kind === 'heart'} />
        </span>
      ))}
    </div>
  );
}
