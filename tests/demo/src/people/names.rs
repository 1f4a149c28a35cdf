//! Names and towns by culture. They are common ones; whoever has one of them by chance is not meant. Touches nothing.

/// Names that go together, and towns where they are common.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Culture {
    pub(super) women: &'static [&'static str],
    pub(super) men: &'static [&'static str],
    pub(super) families: &'static [&'static str],
    pub(super) towns: &'static [&'static str],
    /// The lightest and the darkest tone of skin of the pictures, of those in `portrait`.
    pub(super) tones: (usize, usize),
}

/// Family names are such as do not change with the person.
pub(super) const CULTURES: &[Culture] = &[
    Culture {
        women: &["Ananya", "Priya", "Kavya", "Meera", "Ishita"],
        men: &["Arjun", "Rohan", "Vikram", "Aditya", "Karan"],
        families: &["Sharma", "Gupta", "Mehta", "Banerjee", "Kapoor", "Joshi"],
        towns: &["Pune", "Delhi", "Kolkata"],
        tones: (3, 5),
    },
    Culture {
        women: &["Lakshmi", "Divya", "Nithya", "Revathi"],
        men: &["Karthik", "Suresh", "Pranav", "Harish"],
        families: &["Iyer", "Nair", "Reddy", "Menon", "Rao"],
        towns: &["Bengaluru", "Chennai", "Kochi"],
        tones: (4, 6),
    },
    Culture {
        women: &["Mei", "Xinyi", "Jing", "Yutong"],
        men: &["Wei", "Haoran", "Jun", "Zihan"],
        families: &["Chen", "Zhang", "Liu", "Huang", "Zhao", "Lin"],
        towns: &["Shanghai", "Shenzhen", "Taipei"],
        tones: (1, 3),
    },
    Culture {
        women: &["Yuki", "Haruka", "Sakura", "Emi"],
        men: &["Kenji", "Daichi", "Ren", "Takumi"],
        families: &["Sato", "Nakamura", "Kobayashi", "Yamada", "Mori"],
        towns: &["Tokyo", "Osaka", "Fukuoka"],
        tones: (1, 3),
    },
    Culture {
        women: &["Ji-woo", "Seo-yeon", "Min-seo", "Ha-eun"],
        men: &["Min-jun", "Seung-ho", "Ji-hoon", "Dong-hyun"],
        families: &["Kim", "Park", "Choi", "Jung", "Kang"],
        towns: &["Seoul", "Busan", "Daejeon"],
        tones: (1, 3),
    },
    Culture {
        women: &["Linh", "Thảo", "Hương", "Ngọc"],
        men: &["Minh", "Tuấn", "Đức", "Quân"],
        families: &["Nguyễn", "Trần", "Lê", "Phạm", "Võ"],
        towns: &["Hanoi", "Ho Chi Minh City", "Da Nang"],
        tones: (2, 4),
    },
    Culture {
        women: &["Putri", "Dewi", "Sari", "Ayu"],
        men: &["Budi", "Rizky", "Agus", "Bayu"],
        families: &["Santoso", "Wijaya", "Pratama", "Hidayat", "Kusuma"],
        towns: &["Jakarta", "Bandung", "Yogyakarta"],
        tones: (3, 5),
    },
    Culture {
        women: &["Chiamaka", "Adaeze", "Ngozi", "Funmilayo"],
        men: &["Chinedu", "Emeka", "Tunde", "Babajide"],
        families: &["Okafor", "Adeyemi", "Eze", "Balogun", "Nwosu", "Okonkwo"],
        towns: &["Lagos", "Abuja", "Enugu"],
        tones: (6, 7),
    },
    Culture {
        women: &["Wanjiru", "Achieng", "Njeri", "Atieno"],
        men: &["Kamau", "Otieno", "Mwangi", "Kiprono"],
        families: &["Kariuki", "Odhiambo", "Njoroge", "Wambui", "Mutua"],
        towns: &["Nairobi", "Mombasa", "Kisumu"],
        tones: (6, 7),
    },
    Culture {
        women: &["Ama", "Efua", "Abena", "Akosua"],
        men: &["Kwame", "Kofi", "Yaw", "Kojo"],
        families: &["Mensah", "Owusu", "Asante", "Boateng", "Addo"],
        towns: &["Accra", "Kumasi"],
        tones: (6, 7),
    },
    Culture {
        women: &["Layla", "Salma", "Nour", "Yasmine"],
        men: &["Omar", "Karim", "Youssef", "Tarek"],
        families: &["Mansour", "Haddad", "Farouk", "Nasser", "Khalil"],
        towns: &["Cairo", "Amman", "Casablanca"],
        tones: (2, 5),
    },
    Culture {
        women: &["Elif", "Zeynep", "Defne", "Aylin"],
        men: &["Emre", "Mehmet", "Can", "Burak"],
        families: &["Yılmaz", "Demir", "Kaya", "Şahin", "Öztürk"],
        towns: &["Istanbul", "Ankara", "Izmir"],
        tones: (1, 4),
    },
    Culture {
        women: &["Shirin", "Niloufar", "Parisa", "Azadeh"],
        men: &["Reza", "Kaveh", "Arash", "Babak"],
        families: &["Hosseini", "Karimi", "Tehrani", "Rahimi", "Moradi"],
        towns: &["Tehran", "Shiraz", "Toronto"],
        tones: (2, 4),
    },
    Culture {
        women: &["Beatriz", "Larissa", "Camila", "Júlia"],
        men: &["Thiago", "Rafael", "João", "Caio"],
        families: &["Silva", "Oliveira", "Souza", "Almeida", "Ribeiro", "Araújo"],
        towns: &["São Paulo", "Recife", "Porto Alegre"],
        tones: (1, 6),
    },
    Culture {
        women: &["Valentina", "Ximena", "Lucía", "Fernanda"],
        men: &["Diego", "Santiago", "Andrés", "Emiliano"],
        families: &["Hernández", "Ramírez", "Morales", "Castillo", "Ortega"],
        towns: &["Mexico City", "Guadalajara", "Bogotá"],
        tones: (2, 5),
    },
    Culture {
        women: &["Martina", "Inés", "Carmen", "Noa"],
        men: &["Pablo", "Álvaro", "Iker", "Mateo"],
        families: &["García", "Navarro", "Iglesias", "Vidal", "Serrano"],
        towns: &["Madrid", "Valencia", "Buenos Aires"],
        tones: (1, 3),
    },
    Culture {
        women: &["Camille", "Élodie", "Manon", "Inès"],
        men: &["Théo", "Antoine", "Lucas", "Bastien"],
        families: &["Dubois", "Lefèvre", "Moreau", "Girard", "Fontaine"],
        towns: &["Lyon", "Nantes", "Montréal"],
        tones: (0, 3),
    },
    Culture {
        women: &["Lena", "Hannah", "Jule", "Katrin"],
        men: &["Felix", "Moritz", "Jan", "Sebastian"],
        families: &["Schäfer", "Weber", "Köhler", "Brandt", "Vogel"],
        towns: &["Berlin", "Leipzig", "Zürich"],
        tones: (0, 2),
    },
    Culture {
        women: &["Giulia", "Chiara", "Elena", "Sofia"],
        men: &["Lorenzo", "Matteo", "Davide", "Nicolò"],
        families: &["Ricci", "Conti", "Gallo", "Ferrari", "Marchetti"],
        towns: &["Turin", "Bologna", "Milan"],
        tones: (1, 3),
    },
    Culture {
        women: &["Agnieszka", "Zuzanna", "Magda", "Ola"],
        men: &["Tomasz", "Piotr", "Krzysztof", "Bartek"],
        families: &["Nowak", "Wójcik", "Mazur", "Kaczmarek", "Duda"],
        towns: &["Kraków", "Wrocław", "Gdańsk"],
        tones: (0, 2),
    },
    Culture {
        women: &["Oksana", "Daryna", "Iryna", "Sofiia"],
        men: &["Andriy", "Taras", "Bohdan", "Maksym"],
        families: &["Shevchenko", "Kovalenko", "Bondarenko", "Melnyk", "Tkachenko"],
        towns: &["Kyiv", "Lviv", "Odesa"],
        tones: (0, 2),
    },
    Culture {
        women: &["Aino", "Venla", "Saana", "Ingrid"],
        men: &["Onni", "Mikko", "Lars", "Eero"],
        families: &["Virtanen", "Mäkinen", "Lindqvist", "Nyström", "Korhonen"],
        towns: &["Helsinki", "Tampere", "Stockholm"],
        tones: (0, 1),
    },
    Culture {
        women: &["Aoife", "Niamh", "Saoirse", "Orla"],
        men: &["Cian", "Declan", "Fionn", "Oisín"],
        families: &["Murphy", "Byrne", "Gallagher", "Doyle", "Quinn"],
        towns: &["Dublin", "Galway", "Cork"],
        tones: (0, 1),
    },
    Culture {
        women: &["Grace", "Olivia", "Zoe", "Naomi"],
        men: &["Marcus", "Ethan", "Isaac", "Caleb"],
        families: &["Bennett", "Hughes", "Carter", "Walker", "Coleman"],
        towns: &["Portland", "Manchester", "Melbourne"],
        tones: (0, 7),
    },
    Culture {
        women: &["Anouk", "Femke", "Sanne", "Lotte"],
        men: &["Daan", "Bram", "Jeroen", "Sven"],
        families: &["de Vries", "Bakker", "Visser", "Jansen", "van Dijk"],
        towns: &["Utrecht", "Rotterdam", "Ghent"],
        tones: (0, 2),
    },
    Culture {
        women: &["Tala", "Bea", "Maria", "Jasmine"],
        men: &["Miguel", "Paolo", "Jericho", "Andrei"],
        families: &["Santos", "Reyes", "Cruz", "Bautista", "Villanueva"],
        towns: &["Manila", "Cebu", "Davao"],
        tones: (2, 5),
    },
];

/// A name as it stands in an e-mail address: ASCII, lower case, with dots for what stands between words.
pub(super) fn plain(name: &str) -> String {
    let mut plain = String::with_capacity(name.len());
    for letter in name.chars().flat_map(char::to_lowercase) {
        let base = match letter {
            'à' | 'á' | 'â' | 'ã' | 'ä' | 'å' | 'ả' | 'ạ' | 'ấ' | 'ầ' => 'a',
            'ç' | 'ć' => 'c',
            'đ' => 'd',
            'è' | 'é' | 'ê' | 'ë' | 'ễ' | 'ę' => 'e',
            'ì' | 'í' | 'î' | 'ï' | 'ı' => 'i',
            'ł' => 'l',
            'ñ' | 'ń' => 'n',
            'ò' | 'ó' | 'ô' | 'õ' | 'ö' | 'ọ' | 'ơ' => 'o',
            'ś' | 'ş' => 's',
            'ù' | 'ú' | 'û' | 'ü' | 'ư' | 'ứ' => 'u',
            // The dot above a small Turkish i, which lower-casing a capital one leaves.
            '\u{307}' | '-' | '\'' => continue,
            ' ' => '.',
            letter => letter,
        };
        plain.push(base);
    }
    plain
}
