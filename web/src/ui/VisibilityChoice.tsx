// Who finds a stream.

import type { Visibility } from '../api/types';

const HINTS: Record<Visibility, string> = {
  public: 'In the list of streams; everybody may watch.',
  unlisted: 'In no list; whoever has the link may watch.',
  private: 'In no list; watching needs an invite or a key.',
};

/** The choice when a stream is opened. */
export function VisibilityChoice(props: { visibility: Visibility; onChange: (to: Visibility) => void }) {
  const choice = (value: Visibility, label: string) => (
    <label>
      <input
        type="radio"
        name="visibility"
        checked={props.visibility === value}
        onChange={() => props.onChange(value)}
      />
      {label}
    </label>
  );
  return (
    <fieldset>
      <legend>Who finds it</legend>
      <div className="choices">
        {choice('public', 'Everybody')}
        {choice('unlisted', 'With the link')}
        {choice('private', 'Invited only')}
      </div>
      <p className="hint">{HINTS[props.visibility]}</p>
    </fieldset>
  );
}
