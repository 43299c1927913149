// Who may speak in a stream: only its hosts, or everybody who comes.

import type { Role } from '../api/types';

/** The choice, as the role of somebody who joins. */
export function SpeakChoice({ role, onChange }: { role: Role; onChange: (role: Role) => void }) {
  const choice = (value: Role, label: string) => (
    <label>
      <input type="radio" name="speak" checked={role === value} onChange={() => onChange(value)} />
      {label}
    </label>
  );
  return (
    <fieldset>
      <legend>Who may speak</legend>
      <div className="choices">
        {choice('viewer', 'Only me')}
        {choice('speaker', 'Everybody')}
      </div>
      <p className="hint">
        {role === 'viewer'
          ? 'Others watch, and can ask to speak.'
          : 'Everybody can use camera and microphone.'}
      </p>
    </fieldset>
  );
}
