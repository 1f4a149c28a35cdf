// What forms have in common: their values, what is wrong with them, and sending them once at a time.

import { useRef, useState } from 'preact/hooks';
import { problem } from '../words';
import { useFirstError } from './basics';

export type Errors<Name extends string> = Partial<Record<Name, string>>;

interface Form<Name extends string> {
  initial: Record<Name, string>;
  check: (values: Record<Name, string>) => Errors<Name>;
  send: (values: Record<Name, string>) => Promise<void>;
}

export function useForm<Name extends string>({ initial, check, send }: Form<Name>) {
  const form = useRef<HTMLFormElement>(null);
  const [values, setValues] = useState(initial);
  const [tries, setTries] = useState(0);
  const [isBusy, setBusy] = useState(false);
  const [failure, setFailure] = useState('');
  const errors = tries > 0 ? check(values) : {};
  useFirstError(form, errors, tries);
  const submit = async (event: Event) => {
    event.preventDefault();
    if (isBusy) return;
    setTries(tries + 1);
    setFailure('');
    if (Object.keys(check(values)).length > 0) return;
    setBusy(true);
    try {
      await send(values);
    } catch (error) {
      setFailure(problem(error));
    } finally {
      setBusy(false);
    }
  };
  return {
    form,
    values,
    isBusy,
    failure,
    submit: (event: Event) => void submit(event),
    reset: (to: Record<Name, string>) => {
      setValues(to);
      setTries(0);
    },
    field: (name: Name) => ({
      name,
      value: values[name],
      error: (errors as Errors<Name>)[name],
      onValue: (value: string) => setValues((now) => ({ ...now, [name]: value })),
    }),
  };
}
