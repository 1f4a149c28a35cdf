// The small parts that pages are made of: buttons, inputs, notes, placeholders. None of them knows the host or a store.

import type { ComponentChildren, RefObject, TargetedInputEvent, TargetedMouseEvent } from 'preact';
import { useEffect, useId, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { t } from '../strings';
import { problem } from '../words';
import { Icon, type IconName } from './icons';

type Press = TargetedMouseEvent<HTMLButtonElement>;

interface ButtonProps {
  children: ComponentChildren;
  onPress?: (event: Press) => void;
  /** Something runs that it began. It stays where it is and keeps the focus, and does nothing. */
  isBusy?: boolean;
  kind?: 'primary' | 'plain' | 'quiet' | 'danger';
  type?: 'button' | 'submit';
  icon?: IconName;
  label?: string;
  describedBy?: string;
  class?: string;
  pressed?: boolean;
}

export function Button({
  children,
  onPress,
  isBusy = false,
  kind = 'plain',
  type = 'button',
  icon,
  label,
  describedBy,
  pressed,
  ...rest
}: ButtonProps) {
  const press = (event: Press) => {
    if (isBusy) event.preventDefault();
    else onPress?.(event);
  };
  return (
    <button
      type={type}
      class={`button ${kind} ${rest.class ?? ''}`}
      onClick={press}
      aria-disabled={isBusy || undefined}
      aria-busy={isBusy || undefined}
      aria-label={label}
      aria-describedby={describedBy}
      aria-pressed={pressed}
    >
      {icon && <Icon name={icon} size={20} />}
      <span>{children}</span>
    </button>
  );
}

/** A button with nothing but an icon. */
export function IconButton({
  icon,
  label,
  onPress,
  class: name = '',
}: {
  icon: IconName;
  label: string;
  onPress: (event: Press) => void;
  class?: string;
}) {
  return (
    <button type="button" class={`icon-button ${name}`} aria-label={label} title={label} onClick={onPress}>
      <Icon name={icon} />
    </button>
  );
}

interface FieldProps {
  label: string;
  value: string;
  onValue: (value: string) => void;
  name: string;
  hint?: string | undefined;
  error?: string | undefined;
  type?: 'text' | 'email' | 'password' | 'url';
  autoComplete?: string;
  inputMode?: 'numeric' | 'email' | 'url';
  maxLength?: number;
  isOptional?: boolean;
  /** Lines of a text of several; none: an input of one. */
  rows?: number;
  options?: readonly (readonly [value: string, label: string])[];
}

/** An input with its label, a hint, and what is wrong with it. */
export function Field({
  label,
  value,
  onValue,
  name,
  hint,
  error,
  type = 'text',
  rows,
  options,
  isOptional = false,
  ...rest
}: FieldProps) {
  const id = useId();
  const [isShown, show] = useState(false);
  // What is wrong says more than the hint.
  const described = error ? `${id}-error` : hint && `${id}-hint`;
  const common = {
    id,
    name,
    value,
    'aria-describedby': described,
    'aria-invalid': error ? true : undefined,
    'aria-required': isOptional ? undefined : true,
    onInput: (event: TargetedInputEvent<HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement>) =>
      onValue(event.currentTarget.value),
  };
  const isPassword = type === 'password';
  return (
    <div class="field">
      <label for={id}>
        {label}
        {isOptional && <span class="optional"> {t.optional}</span>}
      </label>
      {options ? (
        <div class="select">
          <select {...common}>
            {options.map(([option, text]) => (
              <option value={option} key={option}>
                {text}
              </option>
            ))}
          </select>
          <Icon name="down" size={18} />
        </div>
      ) : rows ? (
        <textarea {...common} {...rest} rows={rows} />
      ) : (
        <div class={isPassword ? 'with-button' : ''}>
          <input
            {...common}
            {...rest}
            type={(isPassword && isShown ? 'text' : type) as 'text'}
            spellcheck={isPassword ? false : undefined}
          />
          {isPassword && (
            <button
              type="button"
              class="show"
              aria-pressed={isShown}
              aria-label={t.showPassword(label)}
              onClick={() => show(!isShown)}
            >
              {isShown ? t.hide : t.show}
            </button>
          )}
        </div>
      )}
      {hint && !error && (
        <p class="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
      <Mistake id={`${id}-error`} text={error} />
    </div>
  );
}

/** What is wrong with an input, which names it by its id; nothing where nothing is. */
export function Mistake({ id, text }: { id: string; text: string | undefined }) {
  if (!text) return null;
  return (
    <p class="error" id={id}>
      <Icon name="alert" size={16} />
      {text}
    </p>
  );
}

/** Moves the focus to the first input that is wrong, once there is one. */
export function useFirstError(
  form: RefObject<HTMLElement | null>,
  errors: Record<string, string | undefined>,
  tries: number,
): void {
  useEffect(() => {
    if (tries > 0) form.current?.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus();
  }, [tries, Object.keys(errors).length]);
}

/** A note on the page. Errors are read out at once. */
export function Notice({
  kind,
  children,
  action,
}: {
  kind: 'error' | 'info' | 'good';
  children: ComponentChildren;
  action?: ComponentChildren;
}) {
  return (
    <div class={`notice ${kind}`} role={kind === 'error' ? 'alert' : 'status'}>
      {kind === 'error' && <Icon name="alert" size={20} />}
      {kind === 'good' && <Icon name="check" size={20} />}
      <div class="words">{children}</div>
      {action}
    </div>
  );
}

/** What went wrong with loading something, and the way to try again. */
export function Failed({ error, again }: { error: unknown; again: () => void }) {
  return (
    <Notice kind="error" action={<Button onPress={again}>{t.tryAgain}</Button>}>
      {problem(error)}
    </Notice>
  );
}

/** A list without rows: why, and what to do next. */
export function Empty({
  icon,
  title,
  children,
  action,
}: {
  icon: IconName;
  title: string;
  children: ComponentChildren;
  action?: ComponentChildren;
}) {
  return (
    <div class="empty">
      <span class="round">
        <Icon name={icon} size={28} />
      </span>
      <h2>{title}</h2>
      <p>{children}</p>
      {action}
    </div>
  );
}

/** The shape of what is being loaded. */
export function Skeleton({ kind, count = 3 }: { kind: 'card' | 'row' | 'message'; count?: number }) {
  return (
    <div class={`skeletons ${kind}s`} role="status" aria-label={t.loading}>
      {Array.from({ length: count }, (_, at) => (
        <div class={`skeleton ${kind}`} key={at} aria-hidden="true">
          <i />
          <b />
          <b />
          <b />
        </div>
      ))}
    </div>
  );
}

/** A switch. */
export function Switch({
  label,
  hint,
  isOn,
  onChange,
}: {
  label: string;
  hint?: string;
  isOn: boolean;
  onChange: (isOn: boolean) => void;
}) {
  const id = useId();
  return (
    <div class="switch">
      <div>
        <span id={`${id}-label`} class="label">
          {label}
        </span>
        {hint && (
          <p id={`${id}-hint`} class="hint">
            {hint}
          </p>
        )}
      </div>
      <button
        type="button"
        role="switch"
        aria-checked={isOn}
        aria-labelledby={`${id}-label`}
        aria-describedby={hint ? `${id}-hint` : undefined}
        onClick={() => onChange(!isOn)}
      >
        <i />
      </button>
    </div>
  );
}

/** A question in front of the page. The browser keeps the focus in it, and gives it back. */
export function Dialog({
  title,
  children,
  onClose,
}: {
  title: string;
  children: ComponentChildren;
  onClose: () => void;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useLayoutEffect(() => {
    const { current } = dialog;
    const before = document.activeElement;
    current?.showModal();
    return () => {
      current?.close();
      // A browser does this itself, but for a dialog that goes away with its page's part.
      setTimeout(() => document.activeElement === document.body && before instanceof HTMLElement && before.focus());
    };
  }, []);
  return (
    <dialog ref={dialog} aria-labelledby={id} onClose={onClose}>
      <h2 id={id}>{title}</h2>
      {children}
    </dialog>
  );
}

/** A count on top of an icon. */
export function Badge({ count, label }: { count: number; label: string }) {
  if (count === 0) return null;
  return (
    <span class="badge">
      <span aria-hidden="true">{count > 99 ? '99+' : count}</span>
      <span class="hidden">{label}</span>
    </span>
  );
}
