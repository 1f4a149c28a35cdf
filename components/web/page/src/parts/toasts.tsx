// Short notes at the edge of the window, and the words that are only read out.

import { useEffect } from 'preact/hooks';
import { place } from '../router';
import { announcement, dismiss, toasts } from '../state/toasts';
import { t } from '../strings';
import { IconButton } from './basics';

export function Toasts() {
  const { text, number } = announcement.value;
  const { path } = place.value;
  useEffect(() => {
    // Whoever is where a note leads has seen what it is about.
    for (const { href, number } of toasts.peek()) if (href === path) dismiss(number);
  }, [path]);
  const [errors, others] = [true, false].map((isError) => toasts.value.filter((toast) => toast.isError === isError));
  return (
    <section class="toasts" aria-label={t.notes}>
      <div role="alert">{errors?.map(show)}</div>
      <div role="status">{others?.map(show)}</div>
      <p class="hidden" role="status" key="announcement">
        {text}
        {number % 2 === 0 ? '' : ' '}
      </p>
    </section>
  );
}

function show({ number, text, isError, href }: (typeof toasts.value)[number]) {
  return (
    <div class={`toast ${isError ? 'error' : ''}`} key={number}>
      <p>
        {href ? (
          <a href={href} onClick={() => dismiss(number)}>
            {text}
          </a>
        ) : (
          text
        )}
      </p>
      <IconButton icon="close" label={t.close} onPress={() => dismiss(number)} />
    </div>
  );
}
