// Logging in and signing up.

import type { ComponentChildren } from 'preact';
import { useEffect } from 'preact/hooks';
import * as routes from '../api/routes';
import { Button, Field, Notice } from '../parts/basics';
import { useForm, type Errors } from '../parts/form';
import { Mark } from '../parts/icons';
import { ownPath, place } from '../router';
import * as rules from '../rules';
import { enter } from '../state/session';
import { t } from '../strings';

/** Without those that are none. */
function found<Name extends string>(all: Record<Name, string | undefined>): Errors<Name> {
  return Object.fromEntries(Object.entries(all).filter(([, error]) => error)) as Errors<Name>;
}

export function LogInPage() {
  const isOver = place.value.query.has('over');
  const { form, submit, field, isBusy, failure } = useForm({
    initial: { emailId: '', password: '' },
    check: (values) =>
      found({ emailId: rules.required(values.emailId.trim()), password: rules.required(values.password) }),
    send: async ({ emailId, password }) => enter(await routes.logIn(emailId.trim(), password)),
  });
  return (
    <Entrance
      title={t.logIn.title}
      other={
        <>
          {t.logIn.isNew} <a href={withNext('/app/signup')}>{t.signUp.title}</a>
        </>
      }
    >
      {isOver && !failure && <Notice kind="info">{t.logIn.over}</Notice>}
      {failure && <Notice kind="error">{failure}</Notice>}
      <form ref={form} onSubmit={submit} noValidate>
        <Field {...field('emailId')} label={t.fields.emailId} type="email" inputMode="email" autoComplete="username" />
        <Field {...field('password')} label={t.fields.password} type="password" autoComplete="current-password" />
        <Button type="submit" kind="primary" isBusy={isBusy}>
          {isBusy ? t.logIn.busy : t.logIn.act}
        </Button>
      </form>
    </Entrance>
  );
}

export function SignUpPage() {
  const { form, submit, field, isBusy, failure } = useForm({
    initial: { firstName: '', lastName: '', emailId: '', password: '' },
    check: (values) =>
      found({
        firstName: rules.name(values.firstName),
        lastName: rules.name(values.lastName),
        emailId: rules.email(values.emailId),
        password: rules.password(values.password),
      }),
    send: async ({ firstName, lastName, emailId, password }) => {
      const trimmed = { firstName: firstName.trim(), lastName: lastName.trim(), emailId: emailId.trim() };
      const { data } = await routes.signUp({ ...trimmed, password });
      // Somebody new has nothing to be found by yet.
      enter(data);
    },
  });
  return (
    <Entrance
      title={t.signUp.title}
      other={
        <>
          {t.signUp.isKnown} <a href={withNext('/app/login')}>{t.logIn.title}</a>
        </>
      }
    >
      {failure && <Notice kind="error">{failure}</Notice>}
      <form ref={form} onSubmit={submit} noValidate>
        <div class="pair">
          <Field {...field('firstName')} label={t.fields.firstName} autoComplete="given-name" />
          <Field {...field('lastName')} label={t.fields.lastName} autoComplete="family-name" />
        </div>
        <Field {...field('emailId')} label={t.fields.emailId} type="email" inputMode="email" autoComplete="username" />
        <Field
          {...field('password')}
          label={t.fields.password}
          type="password"
          autoComplete="new-password"
          hint={t.rules.passwordHint}
        />
        <Button type="submit" kind="primary" isBusy={isBusy}>
          {isBusy ? t.signUp.busy : t.signUp.act}
        </Button>
      </form>
    </Entrance>
  );
}

function withNext(path: string): string {
  const next = ownPath(place.value.query.get('next'));
  return next ? `${path}?${new URLSearchParams({ next })}` : path;
}

function Entrance({
  title,
  children,
  other,
}: {
  title: string;
  children: ComponentChildren;
  other: ComponentChildren;
}) {
  useEffect(() => {
    document.title = `${title} · ${t.product}`;
  }, [title]);
  useEffect(() => {
    if (place.peek().visit > 1) document.querySelector('h1')?.focus();
  }, [place.value.visit]);
  return (
    <main class="entrance">
      <a class="brand" href="/">
        <Mark size={36} />
        <span>{t.product}</span>
      </a>
      <div class="card">
        <h1 tabIndex={-1}>{title}</h1>
        {children}
      </div>
      <p class="other">{other}</p>
    </main>
  );
}
