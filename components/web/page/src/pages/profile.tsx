// The own profile: its editor, and beside it the card as others will see it.

import { useEffect, useId, useRef, useState } from 'preact/hooks';
import * as routes from '../api/routes';
import type { OwnUser, ProfileChanges } from '../api/types';
import { Button, Field, Mistake, Notice } from '../parts/basics';
import { useForm, type Errors } from '../parts/form';
import { Icon } from '../parts/icons';
import { PersonCard } from '../parts/people';
import { Page } from '../parts/shell';
import * as rules from '../rules';
import { changed, me } from '../state/session';
import { feed } from '../state/stores';
import { announce, toast } from '../state/toasts';
import { t } from '../strings';

type Name = 'firstName' | 'lastName' | 'emailId' | 'photoUrl' | 'age' | 'gender' | 'about';
type Values = Record<Name, string>;

const GENDERS = [['', t.profile.noGender], ...Object.entries(t.genders)] as [string, string][];
/** What can be changed and not taken back. */
const STAYS: Name[] = ['photoUrl', 'age', 'gender'];

function valuesOf(user: OwnUser): Values {
  const { firstName, lastName, emailId, photoUrl, age, gender, about } = user;
  const known = gender && gender in t.genders ? gender : '';
  return {
    firstName: firstName ?? '',
    lastName: lastName ?? '',
    emailId,
    photoUrl: photoUrl ?? '',
    age: age === null || age === undefined ? '' : String(age),
    gender: known,
    about: about ?? '',
  };
}

const skillsOf = (user: OwnUser) => user.skills.filter((skill): skill is string => Boolean(skill));

/** What is different from what the host has. */
export function changesOf(user: OwnUser, values: Values, skills: string[]): ProfileChanges {
  const before = valuesOf(user);
  const changes: ProfileChanges = {};
  for (const name of Object.keys(before) as Name[]) {
    const value = values[name].trim();
    if (value === before[name].trim() || (value === '' && STAYS.includes(name))) continue;
    if (name === 'age') changes.age = Number(value);
    else changes[name] = value;
  }
  if (JSON.stringify(skills) !== JSON.stringify(skillsOf(user))) changes.skills = skills;
  return changes;
}

export function ProfilePage() {
  const user = me.value;
  return user ? <Editor user={user} key={user._id} /> : null;
}

function Editor({ user }: { user: OwnUser }) {
  const before = valuesOf(user);
  const [skills, setSkills] = useState(skillsOf(user));
  const check = (values: Values): Errors<Name> => {
    const all: Record<Name, string | undefined> = {
      firstName: rules.name(values.firstName),
      lastName: rules.name(values.lastName),
      emailId: rules.email(values.emailId),
      photoUrl: rules.photo(values.photoUrl),
      age: rules.age(values.age),
      gender: undefined,
      about: rules.about(values.about),
    };
    for (const name of STAYS) if (values[name].trim() === '' && before[name] !== '') all[name] = t.profile.stays;
    return Object.fromEntries(Object.entries(all).filter(([, error]) => error)) as Errors<Name>;
  };
  const { form, submit, field, isBusy, failure, values, reset } = useForm<Name>({
    initial: before,
    check,
    send: async (values) => {
      const changes = changesOf(user, values, skills);
      if (Object.keys(changes).length === 0) {
        toast(t.profile.nothing);
        return;
      }
      const { data } = await routes.editProfile(changes);
      changed(data);
      reset(valuesOf(data));
      setSkills(skillsOf(data));
      // Who fits best depends on it.
      if (changes.skills || changes.age) feed.reset();
      toast(t.profile.saved);
    },
  });
  const isChanged = Object.keys(changesOf(user, values, skills)).length > 0;
  useEffect(() => {
    if (!isChanged) return undefined;
    const ask = (event: BeforeUnloadEvent) => event.preventDefault();
    addEventListener('beforeunload', ask);
    return () => removeEventListener('beforeunload', ask);
  }, [isChanged]);
  const age = Number(values.age);
  const preview = {
    ...user,
    ...values,
    skills,
    age: values.age && Number.isFinite(age) ? age : null,
    photoUrl: rules.photo(values.photoUrl) ? '' : values.photoUrl.trim(),
  };
  return (
    <Page title={t.profile.title} note={t.profile.note}>
      <div class="beside">
        <form class="card" ref={form} onSubmit={submit} noValidate>
          <div class="pair">
            <Field {...field('firstName')} label={t.fields.firstName} autoComplete="given-name" />
            <Field {...field('lastName')} label={t.fields.lastName} autoComplete="family-name" />
          </div>
          <Field
            {...field('about')}
            label={t.fields.about}
            rows={4}
            isOptional
            hint={t.profile.aboutHint([...values.about.trim()].length)}
          />
          <SkillsInput skills={skills} onSkills={setSkills} />
          <div class="pair">
            <Field {...field('age')} label={t.fields.age} inputMode="numeric" isOptional />
            <Field {...field('gender')} label={t.fields.gender} options={GENDERS} isOptional />
          </div>
          <Field
            {...field('photoUrl')}
            label={t.fields.photoUrl}
            type="url"
            inputMode="url"
            isOptional
            hint={t.profile.photoHint}
          />
          <Field
            {...field('emailId')}
            label={t.fields.emailId}
            type="email"
            inputMode="email"
            autoComplete="email"
            hint={t.profile.emailHint}
          />
          {failure && <Notice kind="error">{failure}</Notice>}
          <div class="row">
            <Button type="submit" kind="primary" isBusy={isBusy}>
              {isBusy ? t.saving : t.save}
            </Button>
            {isChanged && (
              <Button
                kind="quiet"
                onPress={() => {
                  reset(before);
                  setSkills(skillsOf(user));
                }}
              >
                {t.profile.undo}
              </Button>
            )}
          </div>
        </form>
        <section class="preview" aria-label={t.profile.preview}>
          <p class="label" aria-hidden="true">
            {t.profile.preview}
          </p>
          <PersonCard user={preview} />
        </section>
      </div>
    </Page>
  );
}

/** Skills as a list that one types into. */
function SkillsInput({ skills, onSkills }: { skills: string[]; onSkills: (skills: string[]) => void }) {
  const id = useId();
  const input = useRef<HTMLInputElement>(null);
  const [text, setText] = useState('');
  const [error, setError] = useState<string>();
  const add = (texts: string[]) => {
    const all = [...skills];
    for (const skill of texts.map((one) => one.trim()).filter(Boolean)) {
      const wrong = rules.skill(skill, all);
      if (wrong) {
        setError(wrong);
        break;
      }
      if (!all.some((known) => known.toLowerCase() === skill.toLowerCase())) all.push(skill);
      announce(t.profile.skillAdded(skill));
      setError(undefined);
    }
    setText('');
    onSkills(all);
  };
  const remove = (skill: string) => {
    onSkills(skills.filter((other) => other !== skill));
    announce(t.profile.skillRemoved(skill));
    input.current?.focus();
  };
  const type = (value: string) => {
    if (/[,;\n]/.test(value)) add(value.split(/[,;\n]/));
    else setText(value);
  };
  const press = (event: KeyboardEvent) => {
    if (event.key === 'Enter' && text.trim() !== '' && !event.isComposing) {
      event.preventDefault();
      add([text]);
    } else if (event.key === 'Backspace' && text === '' && skills.length > 0) {
      remove(skills.at(-1) ?? '');
    }
  };
  return (
    <div class="field">
      <label for={id}>
        {t.fields.skills}
        <span class="optional"> {t.optional}</span>
      </label>
      <div class="tags">
        {skills.length > 0 && (
          <ul aria-label={t.fields.skills}>
            {skills.map((skill) => (
              <li key={skill}>
                {skill}
                <button type="button" aria-label={t.profile.removeSkill(skill)} onClick={() => remove(skill)}>
                  <Icon name="close" size={14} />
                </button>
              </li>
            ))}
          </ul>
        )}
        <input
          id={id}
          ref={input}
          value={text}
          maxLength={200}
          autoComplete="off"
          aria-describedby={`${id}-hint${error ? ` ${id}-error` : ''}`}
          aria-invalid={error ? true : undefined}
          onInput={(event) => type(event.currentTarget.value)}
          onKeyDown={press}
          onBlur={() => text.trim() !== '' && add([text])}
        />
      </div>
      <p class="hint" id={`${id}-hint`}>
        {t.profile.skillsHint}
      </p>
      <Mistake id={`${id}-error`} text={error} />
    </div>
  );
}
