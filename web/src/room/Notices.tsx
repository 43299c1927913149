// Short messages in a corner of the stage, said aloud by screen readers.

import { useStore } from '../lib/store';
import { usePage } from './context';

/** The messages. */
export function Notices() {
  const { session } = usePage();
  const { list } = useStore(session.notices);
  return (
    <div className="notices" role="log" aria-live="polite" aria-label="What happens">
      {list.map((notice) => (
        <p className="pill" key={notice.id}>
          {notice.text}
        </p>
      ))}
    </div>
  );
}
