// A modal dialog: the browser's own, which keeps the focus inside, closes on
// Escape and gives the focus back.

import { type ReactNode, useId, useLayoutEffect, useRef } from 'react';
import { Icon } from './Icon';

/** A dialog that is on the screen for as long as it is rendered. */
export function Dialog(props: { title: string; onClose: () => void; children: ReactNode }) {
  const ref = useRef<HTMLDialogElement>(null);
  const title = useId();
  useLayoutEffect(() => {
    const dialog = ref.current;
    if (dialog !== null && !dialog.open) {
      dialog.showModal();
      // The browser would choose the close button, which is first.
      dialog.querySelector<HTMLElement>('form input, .form-actions button')?.focus();
    }
    // Closing gives the focus back, as long as the dialog is still in the page.
    return () => dialog?.close();
  }, []);
  return (
    <dialog
      ref={ref}
      className="dialog"
      aria-labelledby={title}
      onCancel={(event) => {
        event.preventDefault();
        props.onClose();
      }}
    >
      <header className="dialog-head">
        <h2 id={title}>{props.title}</h2>
        <button type="button" className="quiet round" aria-label="Close" onClick={props.onClose}>
          <Icon name="close" />
        </button>
      </header>
      {props.children}
    </dialog>
  );
}
