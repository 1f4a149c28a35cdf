//! What people do for a living: what they are called, what they know, what they build. Touches nothing.

/// Work that somebody does.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Role {
    /// As people write it into their profile.
    pub(super) titles: &'static [&'static str],
    /// What each of them knows.
    pub(super) core: &'static [&'static str],
    /// What some of them know as well.
    pub(super) more: &'static [&'static str],
    /// What they build, as in "I build …".
    pub(super) builds: &'static [&'static str],
    /// What they would like to understand better, as in "I am learning …".
    pub(super) learns: &'static [&'static str],
}

pub(super) const ROLES: &[Role] = &[
    Role {
        titles: &["Backend developer", "Backend engineer", "Services engineer"],
        core: &["Rust", "PostgreSQL"],
        more: &["Tokio", "gRPC", "Kafka", "Redis", "Docker", "Linux", "SQL", "OpenTelemetry"],
        builds: &["a booking service", "the ledger of a small bank", "an ordering API", "webhooks that arrive once"],
        learns: &["formal methods with TLA+", "how query planners think", "io_uring"],
    },
    Role {
        titles: &["Backend developer", "API developer", "Node developer"],
        core: &["TypeScript", "Node.js"],
        more: &["PostgreSQL", "MongoDB", "Redis", "GraphQL", "Docker", "Kafka", "Jest", "AWS"],
        builds: &[
            "the API of a food delivery app",
            "an invoicing tool",
            "a chat backend",
            "integrations with partners",
        ],
        learns: &["Rust", "event sourcing", "how to write less code"],
    },
    Role {
        titles: &["Frontend developer", "Web developer", "UI engineer"],
        core: &["TypeScript", "React"],
        more: &["CSS", "Accessibility", "Vite", "GraphQL", "Playwright", "Figma", "Next.js", "Web performance"],
        builds: &[
            "dashboards for hospitals",
            "a ticket shop",
            "the editor of a learning platform",
            "forms that forgive",
        ],
        learns: &["WebAssembly", "view transitions", "testing without tears"],
    },
    Role {
        titles: &["Design systems engineer", "Design engineer", "Frontend developer"],
        core: &["CSS", "Accessibility"],
        more: &["TypeScript", "Web Components", "Storybook", "Figma", "Svelte", "HTML", "Animation", "i18n"],
        builds: &["a component library", "a design system for three brands", "patterns that work with a keyboard"],
        learns: &["colour science", "container queries", "how screen readers are made"],
    },
    Role {
        titles: &["Android developer", "Mobile developer"],
        core: &["Kotlin", "Android"],
        more: &["Jetpack Compose", "Gradle", "Java", "SQLite", "GraphQL", "CI/CD", "Bluetooth LE"],
        builds: &["an app for bus drivers", "a wallet for market traders", "an offline-first survey app"],
        learns: &["Kotlin Multiplatform", "baseline profiles", "Rust on Android"],
    },
    Role {
        titles: &["iOS developer", "Mobile developer"],
        core: &["Swift", "iOS"],
        more: &["SwiftUI", "Objective-C", "Core Data", "CI/CD", "Accessibility", "Metal", "SQLite"],
        builds: &["a reading app for children", "a training diary", "the app of a museum"],
        learns: &["Metal shaders", "Swift on the server", "structured concurrency"],
    },
    Role {
        titles: &["Data engineer", "Analytics engineer"],
        core: &["Python", "SQL"],
        more: &["Kafka", "Spark", "dbt", "Airflow", "BigQuery", "PostgreSQL", "Parquet", "DuckDB"],
        builds: &["pipelines for energy meters", "the warehouse of a bookshop", "reports that agree with each other"],
        learns: &["Apache Arrow", "stream processing", "how to say no to one more dashboard"],
    },
    Role {
        titles: &["Machine learning engineer", "ML engineer", "Applied scientist"],
        core: &["Python", "PyTorch"],
        more: &["NumPy", "CUDA", "ONNX", "Docker", "Kubernetes", "NLP", "Computer vision", "MLflow"],
        builds: &["search for recipes", "models that read old maps", "speech recognition for small languages"],
        learns: &["serving models from Rust", "causal inference", "quantisation"],
    },
    Role {
        titles: &["Site reliability engineer", "SRE", "Production engineer"],
        core: &["Linux", "Kubernetes"],
        more: &["Prometheus", "Terraform", "Go", "Grafana", "AWS", "OpenTelemetry", "Bash", "eBPF"],
        builds: &["alerts that mean something", "the platform of a broadcaster", "deploys that nobody notices"],
        learns: &["eBPF", "queueing theory", "writing better post-mortems"],
    },
    Role {
        titles: &["Platform engineer", "DevOps engineer", "Build engineer"],
        core: &["Go", "CI/CD"],
        more: &["Terraform", "Docker", "Kubernetes", "Nix", "Bazel", "AWS", "Linux", "WebAssembly"],
        builds: &["a build farm", "developer environments that start in seconds", "an internal platform"],
        learns: &["Nix", "supply-chain security", "component models"],
    },
    Role {
        titles: &["Security engineer", "Application security engineer"],
        core: &["Security", "Threat modelling"],
        more: &["Python", "Rust", "Cryptography", "OAuth", "Fuzzing", "Linux", "Go", "Incident response"],
        builds: &["reviews that developers like", "a bug bounty programme", "tools that find secrets in logs"],
        learns: &["post-quantum key exchange", "fuzzing parsers", "passkeys"],
    },
    Role {
        titles: &["Embedded developer", "Firmware engineer"],
        core: &["C", "Embedded Linux"],
        more: &["Rust", "C++", "RTOS", "Bluetooth LE", "CAN bus", "KiCad", "Zephyr", "ARM"],
        builds: &["firmware for greenhouses", "a cargo bike's controller", "sensors that run for years on one battery"],
        learns: &["embassy and async on small chips", "RISC-V", "designing boards"],
    },
    Role {
        titles: &["Game developer", "Graphics programmer", "Engine programmer"],
        core: &["C++", "Graphics"],
        more: &["Vulkan", "WebGPU", "Rust", "GLSL", "Blender", "Physics", "Lua", "Profiling"],
        builds: &["a game about lighthouses", "water that looks wet", "tools for level designers"],
        learns: &["WebGPU", "signed distance fields", "procedural cities"],
    },
    Role {
        titles: &["Database developer", "Storage engineer"],
        core: &["C++", "Databases"],
        more: &["Rust", "PostgreSQL", "Distributed systems", "SQL", "Linux", "Raft", "RocksDB", "Profiling"],
        builds: &["an index that fits into memory", "backups that were restored once", "a storage engine"],
        learns: &["CRDTs", "deterministic simulation testing", "learned indexes"],
    },
    Role {
        titles: &["Compiler engineer", "Runtime engineer", "Language tooling developer"],
        core: &["Rust", "Compilers"],
        more: &["WebAssembly", "LLVM", "C++", "OCaml", "Parsers", "JIT", "Haskell", "Profiling"],
        builds: &["a language server", "a small WebAssembly runtime", "error messages that help"],
        learns: &["e-graphs", "the component model", "register allocation"],
    },
    Role {
        titles: &["QA engineer", "Test engineer", "Quality engineer"],
        core: &["Testing", "Playwright"],
        more: &["TypeScript", "Python", "Accessibility", "CI/CD", "SQL", "Property testing", "Load testing", "Java"],
        builds: &["tests that fail for a reason", "a lab of old phones", "release checks in ten minutes"],
        learns: &["property testing", "chaos engineering", "Rust for test tools"],
    },
    Role {
        titles: &["Full-stack developer", "Product engineer", "Software developer"],
        core: &["TypeScript", "PostgreSQL"],
        more: &["React", "Node.js", "Python", "Docker", "Redis", "CSS", "Svelte", "AWS"],
        builds: &["software for dentists", "a marketplace for used instruments", "the tools of a food bank"],
        learns: &["local-first software", "Elixir", "how to price things"],
    },
    Role {
        titles: &["Java developer", "Enterprise developer", "Backend developer"],
        core: &["Java", "Spring"],
        more: &["Kotlin", "Kafka", "PostgreSQL", "Docker", "Kubernetes", "Gradle", "SQL", "Domain-driven design"],
        builds: &["claims handling for an insurer", "the timetable of a railway", "a warehouse system"],
        learns: &["virtual threads", "Kotlin coroutines", "event storming"],
    },
    Role {
        titles: &["Elixir developer", "Backend developer"],
        core: &["Elixir", "PostgreSQL"],
        more: &["Phoenix", "Erlang", "Distributed systems", "Docker", "TypeScript", "Redis", "OpenTelemetry"],
        builds: &["live auctions", "a radio station's backend", "a call centre that never hangs up"],
        learns: &["Gleam", "Nerves", "property testing"],
    },
    Role {
        titles: &["GIS developer", "Geospatial engineer"],
        core: &["Python", "PostGIS"],
        more: &["SQL", "Rust", "WebGL", "TypeScript", "Remote sensing", "PostgreSQL", "D3", "OpenStreetMap"],
        builds: &["maps of flooded roads", "routes for wheelchairs", "a viewer for satellite images"],
        learns: &["vector tiles", "DuckDB with geometry", "point clouds"],
    },
];
