// A button that opens a short list of actions or choices. Arrow keys move,
// Escape closes, the focus goes back to the button.

import { type KeyboardEvent, type ReactNode, useEffect, useId, useRef, useState } from 'react';
import { Icon, type IconName } from './Icon';

/** One line of a menu. `checked` makes it a choice. */
export interface MenuItem {
  label: string;
  onSelect: () => void;
  checked?: boolean;
  disabled?: boolean;
  icon?: IconName;
}

/** The button and, when it was pressed, its list. `heading` is said above the list. */
export function Menu(props: {
  label: string;
  className?: string;
  items: MenuItem[];
  heading?: string;
  align?: 'start' | 'end';
  side?: 'above' | 'below';
  children: ReactNode;
}) {
  const [open, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const id = useId();
  useEffect(() => {
    if (!open) return;
    itemsOf(root.current)[0]?.focus();
    const outside = (event: PointerEvent) => {
      if (!root.current?.contains(event.target as Node)) setOpen(false);
    };
    document.addEventListener('pointerdown', outside);
    return () => document.removeEventListener('pointerdown', outside);
  }, [open]);
  const close = () => {
    setOpen(false);
    button.current?.focus();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (!open) return;
    if (event.key === 'Escape') {
      event.stopPropagation();
      close();
    } else if (event.key === 'Tab') setOpen(false);
    else if (moveFocus(root.current, event.key)) event.preventDefault();
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the keys are those of the menu inside it.
    <div className="menu" ref={root} onKeyDown={onKeyDown}>
      <button
        type="button"
        ref={button}
        className={props.className ?? 'quiet round'}
        aria-label={props.label}
        aria-haspopup="menu"
        aria-expanded={open}
        aria-controls={open ? id : undefined}
        title={props.label}
        onClick={() => setOpen(!open)}
      >
        {props.children}
      </button>
      {open && (
        <div
          className={`menu-list menu-${props.align ?? 'end'} menu-${props.side ?? 'above'}`}
          id={id}
          role="menu"
          aria-label={props.heading ?? props.label}
        >
          {props.heading !== undefined && <p className="menu-heading">{props.heading}</p>}
          {props.items.map((item) => (
            <MenuLine key={item.label} item={item} close={close} />
          ))}
        </div>
      )}
    </div>
  );
}

function MenuLine({ item, close }: { item: MenuItem; close: () => void }) {
  const select = () => {
    close();
    item.onSelect();
  };
  const common = { type: 'button' as const, tabIndex: -1, disabled: item.disabled, onClick: select };
  if (item.checked === undefined) {
    return (
      <button {...common} role="menuitem">
        {item.icon !== undefined && <Icon name={item.icon} />}
        {item.label}
      </button>
    );
  }
  return (
    <button {...common} role="menuitemradio" aria-checked={item.checked}>
      {item.label}
    </button>
  );
}

function itemsOf(root: HTMLElement | null): HTMLElement[] {
  return [...(root?.querySelectorAll<HTMLElement>('[role^=menuitem]:not(:disabled)') ?? [])];
}

function moveFocus(root: HTMLElement | null, key: string): boolean {
  const items = itemsOf(root);
  const now = items.indexOf(document.activeElement as HTMLElement);
  const targets: Record<string, number> = {
    ArrowDown: (now + 1) % items.length,
    ArrowUp: (now - 1 + items.length) % items.length,
    Home: 0,
    End: items.length - 1,
  };
  const target = targets[key];
  if (target === undefined) return false;
  items[target]?.focus();
  return true;
}
